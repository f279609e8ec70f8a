/* The container's own layers: what they change of the image, given in the boot config. */
#ifndef LINUX_FS_LAYER_H
#define LINUX_FS_LAYER_H

/* As root, at boot, once the root is there and nothing else is. On failure a line was printed and it is over. */
void layer_apply(void);

#endif
