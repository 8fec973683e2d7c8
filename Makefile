# labtasker: one static binary.  One call of the compiler builds it: c99 -O2 -o labtasker *.c worker/*.c server/*.c cli/*.c
# An old libc may want LDFLAGS=-lrt (clock_gettime).
.POSIX:
CC = c99
CFLAGS = -O2
LDFLAGS =
# TLS=1: with TLS, by BearSSL: an installed one (Debian: libbearssl-dev), or BEARSSL=DIR: its sources, which are built there.  Where
# it was built without, make clean comes first.
TLS =
BEARSSL =
TLSFLAGS = $$(case '$(TLS):$(BEARSSL)' in :) ;; *:) echo -DLABTASKER_TLS;; *) echo -DLABTASKER_TLS -isystem $(BEARSSL)/inc;; esac)
TLSLIB = $$(case '$(TLS):$(BEARSSL)' in :) ;; *:) echo -lbearssl;; *) echo $(BEARSSL)/build/libbearssl.a;; esac)
MAKETLS = @case '$(BEARSSL)' in ?*) cd $(BEARSSL) && $(MAKE) CC='$(CC)' LD='$(CC)' AR=ar lib;; esac
PREFIX = /usr/local
DESTDIR =
CORPORA = ../shared/corpora
SRC = *.c worker/*.c server/*.c cli/*.c
VERSION = 0.1.0

all: labtasker

labtasker: $(SRC) *.h worker/*.h server/*.h cli/*.h
	$(MAKETLS)
	$(CC) $(CFLAGS) $(TLSFLAGS) -o $@ $(SRC) $(TLSLIB) $(LDFLAGS)

# make static CC=musl-gcc
static:
	@case '$(CC)' in *musl*) ;; *) echo 'static: with glibc, host names need its shared libraries at run time; CC=musl-gcc avoids that' >&2;; esac
	$(MAKETLS)
	$(CC) $(CFLAGS) -Os -fno-asynchronous-unwind-tables -fno-pie $(TLSFLAGS) -static -s -o labtasker $(SRC) $(TLSLIB) $(LDFLAGS)

# Needs a C compiler, make and sh; takes seconds.
test: labtasker
	CC='$(CC)' CFLAGS="$(CFLAGS) $(TLSFLAGS)" LDFLAGS="$(TLSLIB) $(LDFLAGS)" sh tests/run.sh

# The public suites, the order of use, and what takes longer.
check: labtasker
	CC='$(CC)' CFLAGS="$(CFLAGS) $(TLSFLAGS)" LDFLAGS="$(TLSLIB) $(LDFLAGS)" sh tests/run.sh '$(CORPORA)'

# The server in a world made up from a seed: make sim SEED=7 (that one alone), SEEDS=20000 (1 to that), LIMIT=180 (so many seconds)
sim:
	CC='$(CC)' CFLAGS='$(CFLAGS)' LDFLAGS='$(LDFLAGS)' BIN=tests/bin/sim.d ONLY=sim SEED='$(SEED)' SEEDS='$(SEEDS)' LIMIT='$(LIMIT)' \
	    sh tests/run.sh

# Fuzz targets (tests/fuzz) with clang's libFuzzer: make fuzz FUZZ=json TIME=600, or FUZZ=all
FUZZ = all
TIME = 60
fuzz:
	BIN='tests/bin/fuzz.d' sh tests/fuzz/run.sh '$(FUZZ)' '$(TIME)'

# Every call that can fail does, one after the other (an hour; Linux, with a compiler that has the sanitizers): make fault CC=clang
fault:
	CC='$(CC)' sh tests/fault/run.sh

# The power goes under load, on a file system of its own (root, loop devices): make powercut
powercut: labtasker
	CC='$(CC)' sh tests/powercut.sh ./labtasker

# The worker under stress, in full; takes minutes.  As root more is tried.
stress: labtasker
	CC='$(CC)' JOBS=5000 PTYS=20000 GONE=60 sh tests/stress.sh ./labtasker

demo: labtasker
	sh tests/demo.sh ./labtasker

bench: labtasker
	CC='$(CC)' sh bench/run.sh

# How large the journal gets, and how long compaction holds up a turn, with a million tasks on the disk of TMPDIR.
bench-journal:
	mkdir -p tests/bin
	$(CC) $(CFLAGS) -o tests/bin/bench-journal bench/journal.c server/*.c $$(ls *.c | grep -v '^labtasker.c') $(LDFLAGS)
	d=$$(mktemp -d "$${TMPDIR:-/var/tmp}/labtasker-bench.XXXXXX") && { tests/bin/bench-journal "$$d"; rc=$$?; rm -rf "$$d"; exit $$rc; }

# The server alone: cost by number of tasks, memory, restart, compaction, and beside others; takes minutes.
bench-server: labtasker
	CC='$(CC)' sh bench/server.sh

# TLS against OpenSSL's clients, nginx and the reference, and what it costs; needs all three: make check-tls TLS=1
.PHONY: check-tls
check-tls: labtasker
	mkdir -p tests/bin
	$(CC) $(CFLAGS) $(TLSFLAGS) -o tests/bin/bench-tls bench/tls.c $$(ls *.c | grep -v '^labtasker.c') $(TLSLIB) $(LDFLAGS)
	BENCH=$$PWD/tests/bin/bench-tls sh tests/tls/run.sh ./labtasker

install: labtasker
	mkdir -p '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/man/man1'
	cp labtasker '$(DESTDIR)$(PREFIX)/bin/labtasker'
	chmod 755 '$(DESTDIR)$(PREFIX)/bin/labtasker'
	ln -sf labtasker '$(DESTDIR)$(PREFIX)/bin/lt'
	ln -sf labtasker '$(DESTDIR)$(PREFIX)/bin/labtasker-server'
	cp labtasker.1 '$(DESTDIR)$(PREFIX)/share/man/man1/labtasker.1'
	chmod 644 '$(DESTDIR)$(PREFIX)/share/man/man1/labtasker.1'

# The same sources give the same bytes, whoever builds (GNU tar); what was built is left out.
dist:
	find README DESIGN PROTOCOL NEWS LICENSE Makefile labtasker.1 *.[ch] worker server cli tests bench contrib .ci -type f \
	    ! -path 'tests/bin/*' ! -name '*.o' ! -name '*.pyc' ! -name '.*.sw?' ! -name '*~' | LC_ALL=C sort >dist.files
	tar cf - --format=ustar --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --transform='s,^,labtasker-$(VERSION)/,' \
	    --mtime="$$(sed -n 's/^ -- .*>  //p' contrib/debian/changelog | head -n 1)" -T dist.files | gzip -9n >labtasker-$(VERSION).tar.gz
	rm -f dist.files

# A Debian package out of the tarball, in build/; DEB_BUILD_OPTIONS=nocheck leaves out the tests.
deb: dist
	rm -rf build
	mkdir build
	tar xzf labtasker-$(VERSION).tar.gz -C build
	cp -r contrib/debian build/labtasker-$(VERSION)/debian
	cd build/labtasker-$(VERSION) && dpkg-buildpackage -b -us -uc
	lintian --fail-on error,warning build/*.changes

clean:
	rm -rf labtasker tests/bin build labtasker-$(VERSION).tar.gz

.PHONY: all static test check sim stress fuzz fault powercut demo bench bench-journal bench-server install dist deb clean
