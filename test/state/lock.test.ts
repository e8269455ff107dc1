import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { CertError } from '../../src/errors.js'
import { type LockOptions, sweepLocks, withLock, withLocks } from '../../src/state/lock.js'
import { StateFolder } from '../../src/state/state-folder.js'

const name = 'example.com'

interface Place {
  readonly state: StateFolder
  /** Where the lock of `name` lies. */
  readonly path: string
}

const open = async (t: Test): Promise<Place> => {
  const root = mkdtempSync(join(tmpdir(), 'acme-oss-lock-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  mkdirSync(join(root, 'locks'))
  return { state: await StateFolder.open(root), path: join(root, 'locks', `${name}.lock`) }
}

/** A lock as another process would have left it. */
const leave = (path: string, owner: object | string, ageInSeconds = 0): void => {
  writeFileSync(path, typeof owner === 'string' ? owner : JSON.stringify({ token: 'theirs', ...owner }))
  const then = Date.now() / 1000 - ageInSeconds
  utimesSync(path, then, then)
}

const patient = (options: Partial<LockOptions> = {}): LockOptions => ({
  signal: new AbortController().signal,
  ...options,
})

/** What is told while waiting; the lock is then given back by `release`. */
const waitsFor = async (
  t: Test,
  { state, path }: Place,
  release: () => void = () => rmSync(path),
): Promise<string[]> => {
  const told: string[] = []
  let released = false
  await withLock(
    state,
    name,
    patient({
      onWait: (owner) => {
        told.push(owner)
        setTimeout(() => {
          released = true
          release()
        }, 300)
      },
    }),
    async () => t.ok(released, 'not before it was given back'),
  )
  return told
}

const takesOver = async (t: Test, { state, path }: Place, what: string): Promise<void> => {
  const told: string[] = []
  const result = await withLock(state, name, patient({ onWait: (owner) => told.push(owner) }), async () => 'worked')
  t.equal(result, 'worked', what)
  t.same(told, [], 'without waiting')
  t.notOk(existsSync(path), 'and it is given back')
  t.same(readdirSync(state.path('locks')), [], 'nothing is left beside it')
}

const deadPid = (): number => spawnSync(process.execPath, ['-e', '0']).pid
const host = hostname()
const hasProc = existsSync('/proc/self/stat')

/** When a process began, as the kernel tells it. */
const beginningOf = (pid: number): string => {
  const line = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return line.slice(line.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}

t.test('while it works, the lock says who it is', async (t) => {
  const { state, path } = await open(t)
  const result = await withLock(state, name, patient(), async () => {
    const owner = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
    t.match(owner, { token: /^[0-9a-f-]{36}$/, host, pid: process.pid })
    if (hasProc) t.equal(owner['began'], beginningOf(process.pid))
    return 42
  })
  t.equal(result, 42)
  t.notOk(existsSync(path))
})

t.test('what the work throws is passed on, and the lock is given back', async (t) => {
  const { state, path } = await open(t)
  const failure = new Error('no')
  await t.rejects(
    withLock(state, name, patient(), () => Promise.reject(failure)),
    failure,
  )
  t.notOk(existsSync(path))
})

t.test('one at a time', async (t) => {
  const { state } = await open(t)
  let inside = 0
  let most = 0
  const told: string[] = []
  await Promise.all(
    Array.from({ length: 6 }, () =>
      withLock(state, name, patient({ onWait: (owner) => told.push(owner) }), async () => {
        inside++
        most = Math.max(most, inside)
        await pause(5)
        inside--
      }),
    ),
  )
  t.equal(most, 1)
  t.equal(told.length, 5, 'each of the others was told once')
  for (const owner of told) t.match(owner, new RegExp(`^(process ${process.pid} on ${host}|another process)$`))
})

t.test('other names are other locks', async (t) => {
  const { state } = await open(t)
  await withLock(state, name, patient(), () => withLock(state, 'other.example', patient(), async () => undefined))
  for (const odd of ['../outside', '*.example.com', '/', '..', '例'.repeat(300)]) {
    await withLock(state, odd, patient(), async () => t.equal(readdirSync(state.path('locks')).length, 1))
  }
  t.same(readdirSync(state.root), ['locks'])
})

t.test('a process that is gone', async (t) => {
  const place = await open(t)
  leave(place.path, { host, pid: deadPid() })
  await takesOver(t, place, 'a dead one')

  if (hasProc) {
    leave(place.path, { host, pid: process.ppid, began: '1' })
    await takesOver(t, place, 'another process has got its number')
  }
  leave(place.path, { host: 'another-host', pid: process.pid }, 61)
  await takesOver(t, place, 'one of another host that has shown no sign of life for a minute')

  for (const content of ['', '{', '[]', 'null', '{"pid":1}', '{"token":"x","host":"y","pid":"z"}']) {
    leave(place.path, content, 11)
    await takesOver(t, place, `one that was killed while it wrote: ${content}`)
  }
})

t.test('a process that is alive', async (t) => {
  t.test('this very one', async (t) => {
    const place = await open(t)
    leave(place.path, { host, pid: process.pid })
    t.same(await waitsFor(t, place), [`process ${process.pid} on ${host}`])
  })
  t.test('another, however old its lock', async (t) => {
    const place = await open(t)
    leave(place.path, { host, pid: process.ppid, ...(hasProc && { began: beginningOf(process.ppid) }) }, 3600)
    t.same(await waitsFor(t, place), [`process ${process.ppid} on ${host}`])
  })
  t.test('one of another host with a heartbeat', async (t) => {
    const place = await open(t)
    leave(place.path, { host: 'another-host', pid: 1 }, 20)
    t.same(await waitsFor(t, place), ['process 1 on another-host'])
  })
  t.test('one of another container with the same name', { skip: !hasProc && 'no namespaces' }, async (t) => {
    const place = await open(t)
    leave(place.path, { host, machine: `${host} pid:[1]`, pid: deadPid() }, 20)
    t.same((await waitsFor(t, place)).length, 1, 'its number means nothing here')
  })
  t.test('one that has just made the file', async (t) => {
    const place = await open(t)
    leave(place.path, '')
    t.same(await waitsFor(t, place), ['another process'])
  })
  t.test('one that dies meanwhile', async (t) => {
    const place = await open(t)
    const child: ChildProcess = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 600000)'], { stdio: 'ignore' })
    t.teardown(() => child.kill('SIGKILL'))
    const pid = child.pid ?? 0
    leave(place.path, { host, pid, ...(hasProc && { began: beginningOf(pid) }) })
    t.same(await waitsFor(t, place, () => child.kill('SIGKILL')), [`process ${pid} on ${host}`])
  })
})

t.test('several that find the same dead one', async (t) => {
  const { state, path } = await open(t)
  for (let round = 0; round < 10; round++) {
    leave(path, { host, pid: deadPid() })
    let inside = 0
    let most = 0
    await Promise.all(
      [1, 2, 3, 4].map(() =>
        withLock(state, name, patient(), async () => {
          most = Math.max(most, ++inside)
          await pause(1)
          inside--
        }),
      ),
    )
    t.equal(most, 1, 'only one of them takes it over')
  }
  t.same(readdirSync(state.path('locks')), [])
})

t.test('one that was killed while it took another over', async (t) => {
  const place = await open(t)
  leave(place.path, { host, pid: deadPid() })
  leave(`${place.path}.takeover`, { host, pid: deadPid() }, 11)
  await takesOver(t, place, 'the guard is no obstacle')
})

t.test('a lock that was taken away is not given back', async (t) => {
  const { state, path } = await open(t)
  await withLock(state, name, patient(), async () => leave(path, { host: 'another-host', pid: 1 }))
  t.match(readFileSync(path, 'utf8'), /theirs/, 'it is the other one’s now')
})

t.test('locks of processes that are gone are swept, others stay', async (t) => {
  const { state, path } = await open(t)
  const other = join(dirname(path), 'other.lock')
  leave(path, { host, pid: deadPid() })
  leave(other, { host, pid: process.ppid })
  await sweepLocks(state)
  t.same(readdirSync(dirname(path)), ['other.lock'])
})

t.test('several at once are taken in one order, and given back', async (t) => {
  const { state, path } = await open(t)
  const seen: string[][] = []
  const work = (names: readonly string[]) =>
    withLocks(state, names, patient(), async () => void seen.push(readdirSync(dirname(path)).sort()))
  await Promise.all([work(['b', 'a', 'b']), work(['a', 'b']), work([])])
  t.same(
    seen.filter((one) => one.length === 2),
    [
      ['a.lock', 'b.lock'],
      ['a.lock', 'b.lock'],
    ],
  )
  t.same(readdirSync(dirname(path)), [])
})

t.test('interrupted while waiting', async (t) => {
  const { state, path } = await open(t)
  leave(path, { host, pid: process.pid })
  const abort = new AbortController()
  const run = withLock(state, name, { signal: abort.signal, onWait: () => setTimeout(() => abort.abort(), 50) }, () =>
    Promise.reject(new Error('it must not work')),
  )
  const error = await run.catch((thrown: unknown) => thrown)
  t.ok(error instanceof CertError)
  t.match(error, { code: 'LOCKED', passing: true, hint: new RegExp(path.replaceAll('.', '\\.')) })
  t.ok(existsSync(path), 'the other one keeps it')
})

t.test('a state folder that takes no lock', async (t) => {
  const { state } = await open(t)
  rmSync(state.path('locks'), { recursive: true })
  writeFileSync(state.path('locks'), '')
  const error = await withLock(state, name, patient(), async () => 0).catch((thrown: unknown) => thrown)
  t.match(error, { code: 'STATE_UNUSABLE', hint: /--state-dir/ })
})

t.test('a lock that cannot be taken away', async (t) => {
  const { state, path } = await open(t)
  mkdirSync(join(path, 'not empty'), { recursive: true })
  utimesSync(path, 1, 1)
  // Should it be tried for ever, it can be from now on.
  const end = setTimeout(() => rmSync(path, { recursive: true }), 10_000)
  const error = await withLock(state, name, patient(), async () => 0).catch((thrown: unknown) => thrown)
  clearTimeout(end)
  t.match(error, { code: 'STATE_UNUSABLE' })
})
