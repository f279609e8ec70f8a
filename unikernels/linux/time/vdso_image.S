    .section .rodata, "a"
    .globl vdso_image, vdso_image_end
    .p2align 4
vdso_image:
    .incbin VDSO_IMAGE
vdso_image_end:
    .section .note.GNU-stack, "", @progbits
