"""The system calls that confined code may make, by the numbers of the processors that are known."""

from __future__ import annotations

X86_64 = {
    "read": 0, "write": 1, "readv": 19, "writev": 20, "pread64": 17, "pwrite64": 18, "preadv": 295, "pwritev":
    296, "close": 3, "close_range": 436, "fstat": 5, "stat": 4, "lstat": 6, "newfstatat": 262, "statx": 332,
    "statfs": 137, "fstatfs": 138, "lseek": 8, "mmap": 9, "munmap": 11, "mprotect": 10, "mremap": 25, "madvise":
    28, "mincore": 27, "msync": 26, "brk": 12, "mlock": 149, "munlock": 150, "membarrier": 324, "rt_sigaction":
    13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "rt_sigpending": 127, "rt_sigtimedwait": 128, "rt_sigsuspend":
    130, "sigaltstack": 131, "alarm": 37, "setitimer": 38, "getitimer": 36, "pause": 34, "timer_create": 222,
    "timer_settime": 223, "timer_gettime": 224, "timer_getoverrun": 225, "timer_delete": 226, "timerfd_create":
    283, "timerfd_settime": 286, "timerfd_gettime": 287, "ioctl": 16, "access": 21, "faccessat": 269,
    "faccessat2": 439, "open": 2, "openat": 257, "openat2": 437, "creat": 85, "pipe": 22, "pipe2": 293,
    "select": 23, "pselect6": 270, "poll": 7, "ppoll": 271, "epoll_create": 213, "epoll_create1": 291,
    "epoll_ctl": 233, "epoll_wait": 232, "epoll_pwait": 281, "epoll_pwait2": 441, "eventfd2": 290, "dup": 32,
    "dup2": 33, "dup3": 292, "fcntl": 72, "flock": 73, "fsync": 74, "fdatasync": 75, "ftruncate": 77,
    "fallocate": 285, "getdents": 78, "getdents64": 217, "getcwd": 79, "chdir": 80, "fchdir": 81, "rename": 82,
    "renameat": 264, "renameat2": 316, "mkdir": 83, "mkdirat": 258, "rmdir": 84, "unlink": 87, "unlinkat": 263,
    "symlink": 88, "symlinkat": 266, "readlink": 89, "readlinkat": 267, "sendfile": 40, "copy_file_range": 326,
    "splice": 275, "tee": 276, "fadvise64": 221, "getrandom": 318, "gettimeofday": 96, "time": 201, "times":
    100, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "nanosleep": 35, "getrusage": 98,
    "getrlimit": 97, "uname": 63, "sysinfo": 99, "getpid": 39, "getppid": 110, "gettid": 186, "getuid": 102,
    "geteuid": 107, "getgid": 104, "getegid": 108, "getresuid": 118, "getresgid": 120, "getgroups": 115,
    "getpgid": 121, "getpgrp": 111, "getsid": 124, "getpriority": 140, "getcpu": 309, "sched_yield": 24,
    "sched_getaffinity": 204, "sched_getparam": 143, "sched_getscheduler": 145, "sched_get_priority_max": 146,
    "sched_get_priority_min": 147, "futex": 202, "set_robust_list": 273, "get_robust_list": 274, "rseq": 334,
    "set_tid_address": 218, "arch_prctl": 158, "exit": 60, "exit_group": 231, "restart_syscall": 219, "wait4":
    61, "waitid": 247, "clone": 56, "clone3": 435, "prlimit64": 302,
}  # fmt: skip
AARCH64 = {
    "newfstatat": 79,
    "read": 63, "write": 64, "readv": 65, "writev": 66, "pread64": 67, "pwrite64": 68, "preadv": 69, "pwritev":
    70, "close": 57, "close_range": 436, "fstat": 80, "statx": 291, "statfs": 43, "fstatfs": 44, "lseek": 62,
    "mmap": 222, "munmap": 215, "mprotect": 226, "mremap": 216, "madvise": 233, "mincore": 232, "msync": 227,
    "brk": 214, "mlock": 228, "munlock": 229, "membarrier": 283, "rt_sigaction": 134, "rt_sigprocmask": 135,
    "rt_sigreturn": 139, "rt_sigpending": 136, "rt_sigtimedwait": 137, "rt_sigsuspend": 133, "sigaltstack": 132,
    "setitimer": 103, "getitimer": 102, "timer_create": 107, "timer_settime": 110, "timer_gettime": 108,
    "timer_getoverrun": 109, "timer_delete": 111, "timerfd_create": 85, "timerfd_settime": 86,
    "timerfd_gettime": 87, "ioctl": 29, "faccessat": 48, "faccessat2": 439, "openat": 56, "openat2": 437,
    "pipe2": 59, "pselect6": 72, "ppoll": 73, "epoll_create1": 20, "epoll_ctl": 21, "epoll_pwait": 22,
    "epoll_pwait2": 441, "eventfd2": 19, "dup": 23, "dup3": 24, "fcntl": 25, "flock": 32, "fsync": 82,
    "fdatasync": 83, "ftruncate": 46, "fallocate": 47, "getdents64": 61, "getcwd": 17, "chdir": 49, "fchdir":
    50, "renameat": 38, "renameat2": 276, "mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "readlinkat": 78,
    "sendfile": 71, "copy_file_range": 285, "splice": 76, "tee": 77, "fadvise64": 223, "getrandom": 278,
    "gettimeofday": 169, "times": 153, "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115,
    "nanosleep": 101, "getrusage": 165, "getrlimit": 163, "uname": 160, "sysinfo": 179, "getpid": 172,
    "getppid": 173, "gettid": 178, "getuid": 174, "geteuid": 175, "getgid": 176, "getegid": 177, "getresuid":
    148, "getresgid": 150, "getgroups": 158, "getpgid": 155, "getsid": 156, "getpriority": 141, "getcpu": 168,
    "sched_yield": 124, "sched_getaffinity": 123, "sched_getparam": 121, "sched_getscheduler": 120,
    "sched_get_priority_max": 125, "sched_get_priority_min": 126, "futex": 98, "set_robust_list": 99,
    "get_robust_list": 100, "rseq": 293, "set_tid_address": 96, "exit": 93, "exit_group": 94, "restart_syscall":
    128, "wait4": 260, "waitid": 95, "clone": 220, "clone3": 435, "prlimit64": 261,
}  # fmt: skip

ARCHITECTURES = {"x86_64": (0xC000003E, X86_64), "aarch64": (0xC00000B7, AARCH64)}
"""By the name of the machine: what the kernel's filter calls it (`AUDIT_ARCH_*`), and its numbers."""
FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 1030)
"""`fcntl` without those commands that have signals sent to other processes (`F_SETOWN`, `F_SETSIG`)."""
IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""Of `ioctl`: what tells a terminal from a file, sizes, and the blocking and inheriting of descriptors."""
