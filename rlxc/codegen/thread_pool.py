"""The pool of threads as LLVM IR: `parallel_for` forks and joins in less than a microsecond while workers are awake.

    parallel_for(pool, body, context, count, chunk, slots, work)        body(context, begin, end, slot) for pieces of 0..count

The caller publishes a job, takes chunks of it like the workers do, then closes it: nobody can join any more, and it waits only for those
that did. A worker that the system does not run in time costs nothing. Every slot begins with its own part of the chunks, so that kernels
one after another find their part in the same core's cache, and then helps with the parts of others. Who runs a chunk does not change what
it computes. Where the pool is in use by another thread, the caller runs everything itself: it never waits for a turn.

Workers spin for a moment after their last job, then sleep. To wake them costs microseconds, so work that found them asleep is counted, and
they are woken when it would have paid: a loop that is long enough wakes them at once, short ones together. The system likes to run who is
woken beside who woke them, where they would have to take turns: workers keep away from the caller's processor.

The first word of the pool is the address of `parallel_for`, so that generated code needs to know nothing else of it.
"""

from __future__ import annotations

from string import Template

SLOTS = 256  # the most threads, the caller being slot 0

# Where the fields of the pool are; those that one thread writes share a line: constant, the caller's, the job and the word that workers
# watch, who is inside; then for each slot a line with its next chunk and the end of its chunks; then the threads.
_FIELDS = {"RUN": 0, "WANTED": 8, "STARTED": 12, "PATIENCE": 16, "SPIN": 24, "BUSY": 64, "BESIDE": 68, "MISSED": 72, "EPOCH": 128, "SLEEPERS": 132}
_FIELDS |= {"BODY": 136, "CONTEXT": 144, "COUNT": 152, "CHUNK": 160, "USED": 168, "STOPPING": 176, "STATE": 192, "QUEUES": 256}
_FIELDS |= {"HANDLES": 256 + 64 * SLOTS, "NUMBERS": 256 + 72 * SLOTS}

# STATE: whether workers may join the job, whether the caller sleeps until they are gone, and how many are inside.
_OPEN, _WAITING = 1 << 30, 1 << 29
_NUMBERS = {"OPEN": _OPEN, "CLOSED": ~_OPEN, "WAITING": _WAITING, "INSIDE": _WAITING - 1, "EVERYBODY": 2**31 - 1}
_NUMBERS |= {"NUMBERS_SIZE": 4 * SLOTS, "SIZE": 256 + 76 * SLOTS}

SYMBOLS = ("rlxc.pool", "rlxc.pool.init", "rlxc.pool.resize", "rlxc.pool.reset")

_FUTEX = {"x86_64": 202, "aarch64": 98}
_GETTID = {"x86_64": 186, "aarch64": 178}
_PAUSE = {"x86_64": ("llvm.x86.sse2.pause", "", ""), "aarch64": ("llvm.aarch64.hint", "i32", "i32 1")}


def has_pool(machine: str, system: str) -> bool:
    """Whether there is a pool for this processor (`x86_64`) and system (`Linux`)."""
    return system == "Linux" and machine in _FUTEX


def pool_text(machine: str) -> str:
    """The LLVM IR of the pool; it needs libc only."""
    pause, types, arguments = _PAUSE[machine]
    words = {name: f"getelementptr (i8, ptr @rlxc.pool, i64 {offset})" for name, offset in _FIELDS.items()}
    words |= {name: str(number) for name, number in _NUMBERS.items()}
    words |= {"FUTEX": str(_FUTEX[machine]), "GETTID": str(_GETTID[machine]), "PAUSE": f"call void @{pause}({arguments})"}
    return Template(_TEXT).substitute(words) + f"declare void @{pause}({types})\n"


_TEXT = """@rlxc.pool = global [$SIZE x i8] zeroinitializer, align 64

declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @clock_gettime(i32, ptr)
declare i32 @sched_yield()
declare i32 @sched_getcpu()
declare i32 @sched_getaffinity(i32, i64, ptr)
declare i32 @sched_setaffinity(i32, i64, ptr)
declare i64 @syscall(i64, ...)

define internal i64 @rlxc.pool.now() {
  %time = alloca [2 x i64], align 8
  %ok = call i32 @clock_gettime(i32 1, ptr %time)
  %s = load i64, ptr %time, align 8
  %at = getelementptr inbounds i64, ptr %time, i64 1
  %ns = load i64, ptr %at, align 8
  %scaled = mul i64 %s, 1000000000
  %sum = add i64 %scaled, %ns
  ret i64 %sum
}

; Sleep while a word has a value; wake some who sleep on it. Private to the process.
define internal void @rlxc.pool.sleep(ptr %word, i32 %value) {
  %r = call i64 (i64, ...) @syscall(i64 $FUTEX, ptr %word, i32 128, i32 %value, ptr null, ptr null, i32 0)
  ret void
}

define internal void @rlxc.pool.wake(ptr %word, i32 %count) {
  %r = call i64 (i64, ...) @syscall(i64 $FUTEX, ptr %word, i32 129, i32 %count, ptr null, ptr null, i32 0)
  ret void
}

; Take chunks until there are none: first those of the own queue, then those of the others.
define internal void @rlxc.pool.take(i64 %slot) {
entry:
  %body = load ptr, ptr $BODY, align 8
  %context = load ptr, ptr $CONTEXT, align 8
  %count = load i64, ptr $COUNT, align 8
  %chunk = load i64, ptr $CHUNK, align 8
  %used = load i64, ptr $USED, align 8
  %mine = icmp ult i64 %slot, %used
  br i1 %mine, label %queue, label %done
queue:
  %k = phi i64 [ 0, %entry ], [ %k.next, %exhausted ]
  %sum = add i64 %slot, %k
  %q = urem i64 %sum, %used
  %line = mul i64 %q, 64
  %next = getelementptr inbounds i8, ptr $QUEUES, i64 %line
  %end.at = getelementptr inbounds i8, ptr %next, i64 8
  %end = load i64, ptr %end.at, align 8
  br label %look
look:
  %seen = load atomic i64, ptr %next monotonic, align 8
  %left = icmp slt i64 %seen, %end
  br i1 %left, label %claim, label %exhausted
claim:
  %c = atomicrmw add ptr %next, i64 1 monotonic, align 8
  %got = icmp slt i64 %c, %end
  br i1 %got, label %work, label %exhausted
work:
  %begin = mul i64 %c, %chunk
  %stop = add i64 %begin, %chunk
  %within = icmp slt i64 %stop, %count
  %to = select i1 %within, i64 %stop, i64 %count
  call void %body(ptr %context, i64 %begin, i64 %to, i64 %slot)
  br label %look
exhausted:
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %k.next, %used
  br i1 %more, label %queue, label %done
done:
  ret void
}

define internal ptr @rlxc.pool.worker(ptr %argument) {
entry:
  %slot = ptrtoint ptr %argument to i64
  %tid = call i64 (i64, ...) @syscall(i64 $GETTID)
  %number = trunc i64 %tid to i32
  %number.at = getelementptr inbounds i32, ptr $NUMBERS, i64 %slot
  store atomic i32 %number, ptr %number.at monotonic, align 4
  store atomic i32 -1, ptr $BESIDE monotonic, align 4
  %first = load atomic i32, ptr $EPOCH acquire, align 4
  br label %join
join:
  %seen = phi i32 [ %first, %entry ], [ %seen, %again ], [ %epoch, %watch ], [ %epoch.2, %doze ]
  %stopping = load atomic i32, ptr $STOPPING acquire, align 4
  %live = icmp eq i32 %stopping, 0
  br i1 %live, label %look, label %leave
look:
  %state = load atomic i32, ptr $STATE acquire, align 4
  %bit = and i32 %state, $OPEN
  %open = icmp ne i32 %bit, 0
  br i1 %open, label %again, label %wait
again:
  %more = add i32 %state, 1
  %pair = cmpxchg ptr $STATE, i32 %state, i32 %more acq_rel monotonic, align 4
  %joined = extractvalue { i32, i1 } %pair, 1
  br i1 %joined, label %run, label %join
run:
  call void @rlxc.pool.take(i64 %slot)
  %old = atomicrmw sub ptr $STATE, i32 1 acq_rel, align 4
  %last = add i32 $WAITING, 1
  %is.last = icmp eq i32 %old, %last
  br i1 %is.last, label %tell, label %wait
tell:
  call void @rlxc.pool.wake(ptr $STATE, i32 1)
  br label %wait
wait:
  %start = call i64 @rlxc.pool.now()
  %spin = load i64, ptr $SPIN, align 8
  %deadline = add i64 %start, %spin
  br label %round
round:
  br label %watch
watch:
  %n = phi i32 [ 0, %round ], [ %n.next, %pause ]
  %epoch = load atomic i32, ptr $EPOCH acquire, align 4
  %same = icmp eq i32 %epoch, %seen
  br i1 %same, label %pause, label %join
pause:
  $PAUSE
  %n.next = add i32 %n, 1
  %on = icmp ult i32 %n.next, 64
  br i1 %on, label %watch, label %clock
clock:
  %now = call i64 @rlxc.pool.now()
  %early = icmp slt i64 %now, %deadline
  br i1 %early, label %round, label %doze
doze:
  %s.1 = atomicrmw add ptr $SLEEPERS, i32 1 seq_cst, align 4
  call void @rlxc.pool.sleep(ptr $EPOCH, i32 %seen)
  %s.2 = atomicrmw sub ptr $SLEEPERS, i32 1 seq_cst, align 4
  %epoch.2 = load atomic i32, ptr $EPOCH acquire, align 4
  %idle = icmp eq i32 %epoch.2, %seen
  br i1 %idle, label %doze, label %join
leave:
  ret ptr null
}

; Make the workers that are wanted; where the system refuses one, those before it have to do. Signals are left to the program's own threads.
define internal void @rlxc.pool.start() {
entry:
  %all = alloca [16 x i64], align 8
  %before = alloca [16 x i64], align 8
  call void @llvm.memset.p0.i64(ptr %all, i8 -1, i64 128, i1 false)
  %masked = call i32 @pthread_sigmask(i32 2, ptr %all, ptr %before)
  %wanted = load atomic i32, ptr $WANTED monotonic, align 4
  br label %next
next:
  %n = load i32, ptr $STARTED, align 4
  %missing = icmp slt i32 %n, %wanted
  br i1 %missing, label %create, label %done
create:
  %n.64 = sext i32 %n to i64
  %slot = add i64 %n.64, 1
  %argument = inttoptr i64 %slot to ptr
  %handle = getelementptr inbounds i64, ptr $HANDLES, i64 %n.64
  %failed = call i32 @pthread_create(ptr %handle, ptr null, ptr @rlxc.pool.worker, ptr %argument)
  %ok = icmp eq i32 %failed, 0
  br i1 %ok, label %count, label %give.up
count:
  %n.next = add i32 %n, 1
  store i32 %n.next, ptr $STARTED, align 4
  br label %next
give.up:
  store atomic i32 %n, ptr $WANTED monotonic, align 4
  br label %done
done:
  %restored = call i32 @pthread_sigmask(i32 2, ptr %before, ptr null)
  ret void
}

; Let workers run on any processor that the caller may use but the one it is on.
define internal void @rlxc.pool.spread(i32 %workers) {
entry:
  %mask = alloca [128 x i8], align 8
  %cpu = call i32 @sched_getcpu()
  %before = atomicrmw xchg ptr $BESIDE, i32 %cpu monotonic, align 4
  %same = icmp eq i32 %cpu, %before
  br i1 %same, label %done, label %ask
ask:
  call void @llvm.memset.p0.i64(ptr %mask, i8 0, i64 128, i1 false)
  %failed = call i32 @sched_getaffinity(i32 0, i64 128, ptr %mask)
  %ok = icmp sge i32 %failed, 0
  %few = icmp ult i32 %cpu, 1024
  %fine = and i1 %ok, %few
  br i1 %fine, label %clear, label %done
clear:
  %byte = lshr i32 %cpu, 3
  %byte.64 = zext i32 %byte to i64
  %at = getelementptr inbounds i8, ptr %mask, i64 %byte.64
  %bit = and i32 %cpu, 7
  %bit.8 = trunc i32 %bit to i8
  %one = shl i8 1, %bit.8
  %others = xor i8 %one, -1
  %old = load i8, ptr %at, align 1
  %new = and i8 %old, %others
  store i8 %new, ptr %at, align 1
  br label %worker
worker:
  %slot = phi i32 [ 1, %clear ], [ %slot.next, %next ]
  %slot.64 = zext i32 %slot to i64
  %number.at = getelementptr inbounds i32, ptr $NUMBERS, i64 %slot.64
  %number = load atomic i32, ptr %number.at monotonic, align 4
  %known = icmp ne i32 %number, 0
  br i1 %known, label %set, label %next
set:
  %refused = call i32 @sched_setaffinity(i32 %number, i64 128, ptr %mask)
  br label %next
next:
  %slot.next = add i32 %slot, 1
  %more = icmp ule i32 %slot.next, %workers
  br i1 %more, label %worker, label %done
done:
  ret void
}

define internal void @rlxc.pool.run(ptr %pool, ptr %body, ptr %context, i64 %count, i64 %chunk, i64 %slots, i64 %work) {
entry:
  %wanted = load atomic i32, ptr $WANTED monotonic, align 4
  %some = icmp sgt i32 %wanted, 0
  %long = icmp sgt i64 %count, %chunk
  %fit = and i1 %some, %long
  br i1 %fit, label %acquire, label %alone
alone:
  call void %body(ptr %context, i64 0, i64 %count, i64 0)
  ret void
acquire:
  %pair = cmpxchg ptr $BUSY, i32 0, i32 1 acq_rel monotonic, align 4
  %mine = extractvalue { i32, i1 } %pair, 1
  br i1 %mine, label %check, label %alone
check:
  %before = load i32, ptr $STARTED, align 4
  %ready = icmp ne i32 %before, 0
  br i1 %ready, label %ask, label %start
start:
  call void @rlxc.pool.start()
  br label %ask
ask:
  %started = load i32, ptr $STARTED, align 4
  %sleepers = load atomic i32, ptr $SLEEPERS monotonic, align 4
  %asleep = icmp sgt i32 %sleepers, 0
  br i1 %asleep, label %weigh, label %publish
weigh:
  %missed = load i64, ptr $MISSED, align 8
  %sum = add i64 %missed, %work
  %patience = load i64, ptr $PATIENCE, align 8
  %pays = icmp sge i64 %sum, %patience
  %kept = select i1 %pays, i64 0, i64 %sum
  store i64 %kept, ptr $MISSED, align 8
  %awake = icmp slt i32 %sleepers, %started
  %go = or i1 %pays, %awake
  br i1 %go, label %publish, label %let.sleep
let.sleep:
  store atomic i32 0, ptr $BUSY release, align 4
  br label %alone
publish:
  %rouse = phi i1 [ false, %ask ], [ %pays, %weigh ]
  %workers = sext i32 %started to i64
  %all = add i64 %workers, 1
  %fewer = icmp slt i64 %slots, %all
  %by.slots = select i1 %fewer, i64 %slots, i64 %all
  %rounded = add i64 %count, %chunk
  %rounded.1 = sub i64 %rounded, 1
  %chunks = sdiv i64 %rounded.1, %chunk
  %few = icmp slt i64 %chunks, %by.slots
  %used = select i1 %few, i64 %chunks, i64 %by.slots
  store ptr %body, ptr $BODY, align 8
  store ptr %context, ptr $CONTEXT, align 8
  store i64 %count, ptr $COUNT, align 8
  store i64 %chunk, ptr $CHUNK, align 8
  store i64 %used, ptr $USED, align 8
  br label %share
share:
  %q = phi i64 [ 0, %publish ], [ %q.next, %share ]
  %from = phi i64 [ 0, %publish ], [ %to, %share ]
  %q.next = add i64 %q, 1
  %part = mul i64 %chunks, %q.next
  %to = sdiv i64 %part, %used
  %line = mul i64 %q, 64
  %next = getelementptr inbounds i8, ptr $QUEUES, i64 %line
  %end = getelementptr inbounds i8, ptr %next, i64 8
  store i64 %from, ptr %next, align 8
  store i64 %to, ptr %end, align 8
  %more = icmp slt i64 %q.next, %used
  br i1 %more, label %share, label %open
open:
  store atomic i32 $OPEN, ptr $STATE release, align 4
  %epoch = atomicrmw add ptr $EPOCH, i32 1 seq_cst, align 4
  br i1 %rouse, label %wake, label %help
wake:
  call void @rlxc.pool.spread(i32 %started)
  call void @rlxc.pool.wake(ptr $EPOCH, i32 $EVERYBODY)
  br label %help
help:
  call void @rlxc.pool.take(i64 0)
  %was = atomicrmw and ptr $STATE, i32 $CLOSED acq_rel, align 4
  %inside = and i32 %was, $INSIDE
  %empty = icmp eq i32 %inside, 0
  br i1 %empty, label %finish, label %linger
linger:
  %n = phi i32 [ 0, %help ], [ %n.next, %pause ], [ %n, %announce ], [ %n, %doze ]
  %state = load atomic i32, ptr $STATE acquire, align 4
  %left = and i32 %state, $INSIDE
  %gone = icmp eq i32 %left, 0
  br i1 %gone, label %finish, label %still
still:
  %patient = icmp ult i32 %n, 4096
  br i1 %patient, label %pause, label %announce
pause:
  $PAUSE
  %n.next = add i32 %n, 1
  br label %linger
announce:
  %waiting = or i32 %state, $WAITING
  %told = cmpxchg ptr $STATE, i32 %state, i32 %waiting acq_rel monotonic, align 4
  %agreed = extractvalue { i32, i1 } %told, 1
  br i1 %agreed, label %doze, label %linger
doze:
  call void @rlxc.pool.sleep(ptr $STATE, i32 %waiting)
  br label %linger
finish:
  store atomic i32 0, ptr $STATE release, align 4
  store atomic i32 0, ptr $BUSY release, align 4
  ret void
}

; What the runtime calls: once, before anything else; to have another number of workers; in a forked child, which has none.
define void @rlxc.pool.init(i64 %patience, i64 %spin) {
  store i64 %patience, ptr $PATIENCE, align 8
  store i64 %spin, ptr $SPIN, align 8
  store ptr @rlxc.pool.run, ptr $RUN, align 8
  ret void
}

define void @rlxc.pool.resize(i32 %workers) {
entry:
  br label %acquire
acquire:
  %pair = cmpxchg ptr $BUSY, i32 0, i32 1 acq_rel monotonic, align 4
  %mine = extractvalue { i32, i1 } %pair, 1
  br i1 %mine, label %stop, label %later
later:
  %yielded = call i32 @sched_yield()
  br label %acquire
stop:
  store atomic i32 1, ptr $STOPPING release, align 4
  %epoch = atomicrmw add ptr $EPOCH, i32 1 seq_cst, align 4
  call void @rlxc.pool.wake(ptr $EPOCH, i32 $EVERYBODY)
  br label %next
next:
  %n = load i32, ptr $STARTED, align 4
  %some = icmp sgt i32 %n, 0
  br i1 %some, label %join, label %done
join:
  %i = sub i32 %n, 1
  %i.64 = sext i32 %i to i64
  %n.64 = sext i32 %n to i64
  %at = getelementptr inbounds i64, ptr $HANDLES, i64 %i.64
  %handle = load i64, ptr %at, align 8
  %joined = call i32 @pthread_join(i64 %handle, ptr null)
  %number.at = getelementptr inbounds i32, ptr $NUMBERS, i64 %n.64
  store i32 0, ptr %number.at, align 4
  store i32 %i, ptr $STARTED, align 4
  br label %next
done:
  store atomic i32 0, ptr $STOPPING release, align 4
  store atomic i32 %workers, ptr $WANTED monotonic, align 4
  store atomic i32 0, ptr $BUSY release, align 4
  ret void
}

define void @rlxc.pool.reset() {
  call void @llvm.memset.p0.i64(ptr $NUMBERS, i8 0, i64 $NUMBERS_SIZE, i1 false)
  store i32 0, ptr $STARTED, align 4
  store i32 0, ptr $SLEEPERS, align 4
  store i32 0, ptr $STOPPING, align 4
  store i32 0, ptr $STATE, align 4
  store i32 0, ptr $BUSY, align 4
  ret void
}

declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
"""
