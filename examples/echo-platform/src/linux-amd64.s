# linux/amd64: write(1, message, length), then exit(0).
    .section .rodata
message:
    .ascii  "linux/amd64 x86_64\n"
    .equ    length, . - message

    .globl _start
    .text
_start:
    mov     $1, %eax                # write
    mov     $1, %edi
    lea     message(%rip), %rsi
    mov     $length, %edx
    syscall
    mov     $60, %eax               # exit
    xor     %edi, %edi
    syscall
