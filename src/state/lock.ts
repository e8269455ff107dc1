import { randomUUID } from 'node:crypto'
import { open, readdir, readFile, stat, unlink, utimes } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeFolder } from '../durable-file.js'
import { CertError, systemCode } from '../errors.js'
import { isRunning, machine } from '../process-identity.js'
import type { StateFolder } from './state-folder.js'

interface Owner {
  readonly token: string
  readonly host: string
  /** What the pid is unique in. */
  readonly machine?: string | undefined
  readonly pid: number
  /** When the process began, in the kernel's ticks, so that another that got the same pid is not taken for it. */
  readonly began: string | undefined
}

// A lock of another machine can only be judged by its heartbeat, in ms.
const heartbeat = 10_000
const dead = 60_000
const longestLook = 250
// No run of ours takes as long; whoever holds it then has stopped rather than ended.
const longestWait = 15 * 60_000

export interface LockOptions {
  readonly signal: AbortSignal
  /** Told once, when somebody else holds it. */
  readonly onWait?: ((owner: string) => void) | undefined
}

/**
 * Runs `work` while no other process does anything under the same name, on this machine or on another that shares the
 * state folder. The second waits; the lock of a process that is gone is taken over.
 * @throws CertError LOCKED (waited in vain, or interrupted while waiting), STATE_UNUSABLE, or what `work` throws
 */
export const withLock = async <T>(
  state: StateFolder,
  name: string,
  options: LockOptions,
  work: () => Promise<T>,
): Promise<T> => {
  // One lock for a name, however it was shortened for the disk.
  const path = `${state.path('locks', name)}.lock`
  const owner: Owner = {
    token: randomUUID(),
    host: hostname(),
    machine,
    pid: process.pid,
    began: await beginningOf(process.pid),
  }
  await acquire(state, path, owner, options)
  const beat = setInterval(() => {
    const now = new Date()
    // Lost only if somebody else took the lock for dead; the work is safe to do twice.
    utimes(path, now, now).catch(() => undefined)
  }, heartbeat).unref()
  try {
    return await work()
  } finally {
    clearInterval(beat)
    if ((await readOwner(path))?.token === owner.token) await unlink(path).catch(() => undefined)
  }
}

/**
 * The same under several names at once, which everybody takes in the same order.
 * @throws CertError as `withLock`
 */
export const withLocks = async <T>(
  state: StateFolder,
  names: readonly string[],
  options: LockOptions,
  work: () => Promise<T>,
): Promise<T> => {
  const [first, ...others] = [...new Set(names)].sort()
  if (first === undefined) return await work()
  return await withLock(state, first, options, () => withLocks(state, others, options, work))
}

/** Takes away the locks of processes that are gone. They keep nobody waiting; nobody may ever ask for them again, either. */
export const sweepLocks = async (state: StateFolder): Promise<void> => {
  const names = await readdir(state.path('locks')).catch(() => [])
  for (const name of names.filter((one) => one.endsWith('.lock'))) {
    const path = join(state.path('locks'), name)
    if (await isGone(path, await readOwner(path))) await takeAway(path).catch(() => undefined)
  }
}

const acquire = async (
  state: StateFolder,
  path: string,
  owner: Owner,
  { signal, onWait }: LockOptions,
): Promise<void> => {
  await makeFolder(state.path('locks')).catch((error: unknown) => {
    throw unusable(path, error)
  })
  const deadline = performance.now() + longestWait
  const giveUp = (why: string): CertError =>
    new CertError('LOCKED', `${why} while waiting for another process`, { passing: true, hint: `it holds ${path}` })
  let isTold = false
  for (let tries = 0; ; tries++) {
    if (await create(path, owner)) return
    const holder = await readOwner(path)
    if (await isGone(path, holder)) {
      await takeAway(path)
      continue
    }
    if (!isTold) onWait?.(holder === undefined ? 'another process' : `process ${holder.pid} on ${holder.host}`)
    isTold = true
    if (performance.now() > deadline) throw giveUp('gave up')
    await sleep(Math.min(longestLook, 10 * 2 ** tries), undefined, { signal }).catch(() => {
      throw giveUp('interrupted')
    })
  }
}

const create = async (path: string, owner: Owner): Promise<boolean> => {
  try {
    const file = await open(path, 'wx', 0o600)
    try {
      await file.writeFile(JSON.stringify(owner))
    } catch (error) {
      // A full disk: a lock that says nothing would only keep others waiting.
      await unlink(path).catch(() => undefined)
      throw error
    } finally {
      await file.close()
    }
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    throw unusable(path, error)
  }
}

const readOwner = async (path: string): Promise<Owner | undefined> => {
  try {
    const owner: unknown = JSON.parse(await readFile(path, 'utf8'))
    return isOwner(owner) ? owner : undefined
  } catch {
    return undefined
  }
}

const isOwner = (value: unknown): value is Owner =>
  typeof value === 'object' &&
  value !== null &&
  'token' in value &&
  'host' in value &&
  'pid' in value &&
  typeof value.pid === 'number'

const isGone = async (path: string, holder: Owner | undefined): Promise<boolean> => {
  const age = await ageOf(path)
  if (age === undefined) return true
  // Killed between making the file and writing into it, or just doing so.
  if (holder === undefined) return age > heartbeat
  if ((holder.machine ?? machine) !== machine || holder.host !== hostname()) return age > dead
  if (!isRunning(holder.pid)) return true
  const began = await beginningOf(holder.pid)
  return holder.began !== undefined && began !== undefined && holder.began !== began
}

const ageOf = async (path: string): Promise<number | undefined> => {
  try {
    return Date.now() - (await stat(path)).mtimeMs
  } catch {
    return undefined
  }
}

/** Removes a dead lock, judged once more where nobody else can: it may have been taken over since. */
const takeAway = async (path: string): Promise<void> => {
  const guard = `${path}.takeover`
  if (!(await create(guard, { token: '', host: hostname(), pid: process.pid, began: undefined }))) {
    // Its owner removes it within an instant, unless it was killed in that instant.
    if (((await ageOf(guard)) ?? 0) > heartbeat) await unlink(guard).catch(() => undefined)
    await sleep(10)
    return
  }
  try {
    if (await isGone(path, await readOwner(path))) await unlink(path)
  } catch (error) {
    // What cannot be taken away would be looked at for ever.
    if (systemCode(error) !== 'ENOENT') throw unusable(path, error)
  } finally {
    await unlink(guard).catch(() => undefined)
  }
}

/** Field 22 of /proc/<pid>/stat; undefined where there is no such thing (macOS, or the process is gone). */
const beginningOf = async (pid: number): Promise<string | undefined> => {
  try {
    const line = await readFile(`/proc/${pid}/stat`, 'utf8')
    // The second field is the program's name in parentheses, which may itself hold blanks and parentheses.
    return line.slice(line.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

const unusable = (path: string, error: unknown): CertError =>
  new CertError('STATE_UNUSABLE', `the lock ${path} cannot be made: ${systemCode(error) ?? String(error)}`, {
    cause: error,
    hint: 'give a state folder that this user can write with --state-dir or ACME_OSS_STATE_DIR',
  })
