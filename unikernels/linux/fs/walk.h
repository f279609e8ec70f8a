/* The walk along a path, for those who must stop at its last name: namei.c and open.c. */
#ifndef LINUX_FS_WALK_H
#define LINUX_FS_WALK_H

#include "fs/vfs.h"

struct walk {
    struct dentry *at;   /* where it is */
    struct dentry *root; /* ".." ends here, "/" begins here */
    const char *rest;    /* of the path */
    char *buf;           /* holds rest once a link was followed */
    unsigned flags;      /* LOOKUP_* */
    unsigned links;      /* followed so far */
    struct qstr last;    /* the last name taken from the path */
    bool slash;          /* a slash follows it */
    bool dots;           /* after walk_parent: last is ".", ".." or empty ("/") */
    bool jumped;         /* the last link led to an object */
    int intent;          /* what the last name is looked up for: open flags + 1, 0: anything else */
};

/* On failure nothing is held. */
int walk_start(struct walk *w, int dfd, const char *path, unsigned flags);
void walk_end(struct walk *w);

/* To the end of the path. */
int walk_all(struct walk *w);
/* To the folder of the last name; may be called again after walk_last said EAGAIN. */
int walk_parent(struct walk *w);
/* The dentry of the last name; EAGAIN: it was a link, its target is now the rest of the path. */
int walk_last(struct walk *w, bool follow, struct dentry **found);

#endif
