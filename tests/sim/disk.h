/* SPDX-License-Identifier: MIT */
/*
 * A disk that is made up, for struct os.  Each file is what programs read of it (mem) and what is on the platter (disk); sectors in
 * which they may differ are dirty until a sync.  When the power goes, of each dirty sector all, a part or nothing has been
 * written, and the directory is as it was at some moment since it was synced.  A sync that fails writes some of the dirty sectors,
 * forgets that the others are, and so loses them though programs still read them.  A process can die in the middle of any call:
 * from then on (dead) nothing that it does has an effect.
 */
#include <fcntl.h>

enum { FILES = 10, INODES = 24, FDS = 12, PASTS = 12 };

struct inode {
	bool used;
	struct buf mem, disk, dirty;   /* dirty: a byte a sector */
};
struct entry {
	char name[32];                 /* "" free */
	int inode;
};
struct dir {
	struct entry entry[FILES];
};
static struct disk {
	struct inode inode[INODES];
	struct dir past[PASTS];        /* as it was synced, and after each change since; the last is now */
	int pasts;
	struct {
		bool used, append;
		int inode;
		size_t at;
	} fd[FDS];
	size_t sector, size;           /* of a sector, of the disk */
	unsigned bad_write, bad_sync, bad_cut, bad_open, bad_rename, bad_dir;   /* one in so many fails; 0: none */
	unsigned faults;               /* that were made */
	unsigned fuse;                 /* so many calls on the process dies; 0: it does not */
	bool dead;
	int64_t wall, mono;
} disk;

static struct dir *
dir_now(void)
{
	return &disk.past[disk.pasts - 1];
}

static int
dir_find(const struct dir *d, const char *name)
{
	for (int i = 0; i < FILES; i++)
		if (!strcmp(d->entry[i].name, name))
			return i;
	return -1;
}

/* A state of the directory that may be found after a power cut; the oldest have been written by then. */
static struct dir *
dir_change(void)
{
	if (disk.pasts == PASTS)
		memmove(disk.past, disk.past + 1, (size_t)--disk.pasts * sizeof disk.past[0]);
	disk.past[disk.pasts] = disk.past[disk.pasts - 1];
	disk.pasts++;
	return dir_now();
}

static bool
inode_held(int i, int from)
{
	for (int k = 0; k < FDS; k++)
		if (disk.fd[k].used && disk.fd[k].inode == i)
			return true;
	for (int p = from; p < disk.pasts; p++)
		for (int k = 0; k < FILES; k++)
			if (disk.past[p].entry[k].name[0] && disk.past[p].entry[k].inode == i)
				return true;
	return false;
}

static int
inode_new(void)
{
	for (int i = 0; i < INODES; i++) {
		struct inode *n = &disk.inode[i];

		if (n->used && inode_held(i, 0))
			continue;
		buf_clear(&n->mem);
		buf_clear(&n->disk);
		buf_clear(&n->dirty);
		n->used = true;
		return i;
	}
	abort();
}

static size_t
disk_room(void)
{
	size_t used = 0;

	for (int i = 0; i < INODES; i++)
		if (disk.inode[i].used && inode_held(i, disk.pasts - 1))
			used += disk.inode[i].mem.len;
	return used < disk.size ? disk.size - used : 0;
}

/* To n bytes, with zeros. */
static void
resize(struct buf *b, size_t n)
{
	if (n > b->len) {
		buf_reserve(b, n - b->len);
		memset(b->p + b->len, 0, n - b->len);
	}
	b->len = n;
}

/* Whether the call fails.  done: a process that dies in it may have had it done. */
static bool
spoiled(const char *what, unsigned one_in, bool *done)
{
	*done = false;
	if (disk.dead) {
		errno = EIO;
		return true;
	}
	if (disk.fuse && !--disk.fuse) {
		note("the server dies in %s", what);
		disk.dead = true;
		*done = chance(2);
		errno = EIO;
		return true;
	}
	if (one_in && chance(one_in)) {
		note("%s fails", what);
		disk.faults++;
		errno = EIO;
		return true;
	}
	return false;
}

static int64_t
sim_wall(void *ctx)
{
	(void)ctx;
	return disk.wall;
}

static int64_t
sim_mono(void *ctx)
{
	(void)ctx;
	return disk.mono;
}

static void
sim_random(void *ctx, void *p, size_t n)
{
	(void)ctx;
	for (size_t i = 0; i < n; i++)
		((unsigned char *)p)[i] = (unsigned char)roll(256);
}

static int
sim_open(void *ctx, const char *path, int flags, mode_t mode)
{
	struct dir *d = dir_now();
	int at = dir_find(d, path), fd = 0;
	bool done;

	(void)ctx;
	(void)mode;
	if (at < 0 && !(flags & O_CREAT)) {
		errno = ENOENT;
		return -1;
	}
	if (at >= 0 && flags & O_EXCL) {
		errno = EEXIST;
		return -1;
	}
	if (flags & O_CREAT && spoiled("an open", disk.bad_open, &done))
		return -1;
	if (at < 0) {
		d = dir_change();
		at = dir_find(d, "");
		d->entry[at].inode = inode_new();
		snprintf(d->entry[at].name, sizeof d->entry[at].name, "%s", path);
	}
	while (disk.fd[fd].used)
		fd++;
	disk.fd[fd].used = true;
	disk.fd[fd].inode = d->entry[at].inode;
	disk.fd[fd].at = 0;
	disk.fd[fd].append = flags & O_APPEND;
	if (flags & O_TRUNC)
		disk.inode[d->entry[at].inode].mem.len = 0;
	return fd;
}

static struct inode *
of_fd(int fd)
{
	return &disk.inode[disk.fd[fd].inode];
}

static ssize_t
sim_read(void *ctx, int fd, void *p, size_t n)
{
	struct inode *i = of_fd(fd);
	size_t at = disk.fd[fd].at, left = i->mem.len > at ? i->mem.len - at : 0;

	(void)ctx;
	n = n < left ? n : left;
	if (n > 1 && chance(3))
		n = 1 + roll((unsigned)n);
	memcpy(p, i->mem.p + at, n);
	disk.fd[fd].at += n;
	return (ssize_t)n;
}

static void
put_bytes(int fd, const void *p, size_t n)
{
	struct inode *i = of_fd(fd);
	size_t at = disk.fd[fd].append ? i->mem.len : disk.fd[fd].at, from = at / disk.sector, to;

	if (!n)
		return;
	if (i->mem.len < at + n)
		resize(&i->mem, at + n);
	memcpy(i->mem.p + at, p, n);
	disk.fd[fd].at = at + n;
	to = (at + n - 1) / disk.sector + 1;
	if (i->dirty.len < to)
		resize(&i->dirty, to);
	memset(i->dirty.p + from, 1, to - from);
}

static ssize_t
sim_write(void *ctx, int fd, const void *p, size_t n)
{
	size_t room = disk_room(), part = 1 + roll((unsigned)n);
	bool done;

	(void)ctx;
	if (spoiled("a write", disk.bad_write, &done)) {
		if (done)
			put_bytes(fd, p, chance(3) ? n : part);
		return -1;
	}
	if (!room) {
		errno = ENOSPC;
		return -1;
	}
	if (chance(60)) {
		errno = EINTR;
		return -1;
	}
	n = chance(8) ? part : n;
	n = n < room ? n : room;
	put_bytes(fd, p, n);
	return (ssize_t)n;
}

static int
sim_truncate(void *ctx, int fd, int64_t size)
{
	struct inode *i = of_fd(fd);
	bool done, bad = spoiled("a cut", disk.bad_cut, &done);

	(void)ctx;
	if ((!bad || done) && (size_t)size < i->mem.len)
		i->mem.len = (size_t)size;
	return bad ? -1 : 0;
}

/* Writes the sectors for which take says so. */
static void
write_back(struct inode *i, bool (*pick)(void))
{
	for (size_t k = 0; k < i->dirty.len; k++) {
		size_t from = k * disk.sector, n = disk.sector;

		if (!i->dirty.p[k] || from >= i->mem.len || !pick())
			continue;
		if (from + n > i->mem.len)
			n = i->mem.len - from;
		if (i->disk.len < from + n)
			resize(&i->disk, from + n);
		memcpy(i->disk.p + from, i->mem.p + from, n);
	}
}

static bool
pick_all(void)
{
	return true;
}

static bool
pick_some(void)
{
	return chance(2);
}

static void
sync_inode(struct inode *i)
{
	write_back(i, pick_all);
	resize(&i->disk, i->mem.len);
	memset(i->dirty.p, 0, i->dirty.len);
}

static int
sim_sync(void *ctx, int fd)
{
	struct inode *i = of_fd(fd);
	bool done, bad = spoiled("a sync", disk.bad_sync, &done);

	(void)ctx;
	if (!bad || done) {
		if (i->dirty.len)
			sync_inode(i);
	} else if (!disk.dead && i->dirty.len) {
		write_back(i, pick_some);
		memset(i->dirty.p, 0, i->dirty.len);
	}
	return bad ? -1 : 0;
}

static int64_t
sim_seek(void *ctx, int fd, int64_t off, int whence)
{
	(void)ctx;
	disk.fd[fd].at = whence == SEEK_END ? of_fd(fd)->mem.len : (size_t)off;
	return (int64_t)disk.fd[fd].at;
}

static int
sim_close(void *ctx, int fd)
{
	(void)ctx;
	disk.fd[fd].used = false;
	return 0;
}

static int
sim_unlink(void *ctx, const char *path)
{
	bool done, bad;
	struct dir *d;

	(void)ctx;
	if (dir_find(dir_now(), path) < 0) {
		errno = ENOENT;
		return -1;
	}
	bad = spoiled("an unlink", 0, &done);
	if (!bad || done) {
		d = dir_change();
		d->entry[dir_find(d, path)].name[0] = 0;
	}
	return bad ? -1 : 0;
}

static int
sim_rename(void *ctx, const char *from, const char *to)
{
	bool done, bad = spoiled("a rename", disk.bad_rename, &done);
	struct dir *d;
	int at;

	(void)ctx;
	if (!bad || done) {
		d = dir_change();
		at = dir_find(d, to);
		if (at >= 0)
			d->entry[at].name[0] = 0;
		at = dir_find(d, from);
		snprintf(d->entry[at].name, sizeof d->entry[at].name, "%s", to);
	}
	return bad ? -1 : 0;
}

static int
sim_syncdir(void *ctx, const char *dir)
{
	bool done, bad = spoiled("a sync of the directory", disk.bad_dir, &done);

	(void)ctx;
	(void)dir;
	if (!bad || done) {
		disk.past[0] = *dir_now();
		disk.pasts = 1;
	}
	return bad ? -1 : 0;
}

static const struct os os = {
	.wall = sim_wall, .mono = sim_mono, .random = sim_random, .open = sim_open, .read = sim_read, .write = sim_write,
	.truncate = sim_truncate, .sync = sim_sync, .seek = sim_seek, .close = sim_close, .rename = sim_rename, .unlink = sim_unlink,
	.syncdir = sim_syncdir,
};

/* The process is gone; what it wrote is still in the system's memory. */
static void
disk_killed(void)
{
	memset(disk.fd, 0, sizeof disk.fd);
	disk.dead = false;
	disk.fuse = 0;
}

static void
disk_power_cut(void)
{
	struct dir is;

	disk_killed();
	is = disk.past[roll((unsigned)disk.pasts)];
	for (int k = 0; k < INODES; k++) {
		struct inode *i = &disk.inode[k];
		size_t size = i->mem.len;

		if (!i->used)
			continue;
		if (chance(3))
			size = i->disk.len;
		else if (size > i->disk.len && chance(2))
			size = i->disk.len + roll((unsigned)(size - i->disk.len));
		write_back(i, pick_some);
		if (size > i->disk.len || chance(2) || size == i->mem.len)
			resize(&i->disk, size);
		buf_clear(&i->mem);
		if (i->disk.len)
			buf_add(&i->mem, i->disk.p, i->disk.len);
		memset(i->dirty.p, 0, i->dirty.len);
	}
	disk.past[0] = is;
	disk.pasts = 1;
}

static void
disk_new(void)
{
	struct disk old = disk;

	memset(&disk, 0, sizeof disk);
	for (int i = 0; i < INODES; i++) {   /* their memory is used again */
		disk.inode[i] = old.inode[i];
		disk.inode[i].used = false;
	}
	disk.pasts = 1;
}

static void
disk_free(void)
{
	for (int i = 0; i < INODES; i++) {
		buf_free(&disk.inode[i].mem);
		buf_free(&disk.inode[i].disk);
		buf_free(&disk.inode[i].dirty);
	}
}
