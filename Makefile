# labtasker: one static binary, built by one call of the compiler.
.POSIX:
CC = c99
CFLAGS = -O2
LDFLAGS =
SRC = *.c worker/*.c server/*.c cli/*.c

all: labtasker
labtasker: $(SRC) *.h worker/*.h server/*.h cli/*.h
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(SRC)
