import { constants } from 'node:fs'
import { access, lstat, readdir, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CertError, systemCode } from '../../errors.js'
import { type Check, failed, failedBy, type Outcome, ok, warning } from '../check.js'
import { type ProcessFacts, type Situation, textIn } from '../situation.js'

export const stateChecks = (situation: Situation): readonly Check[] => [
  ...ofState(situation),
  ...[...foldersOf(situation)].map(
    (folder): Check => ({
      id: `folder ${folder}`,
      about: 'state',
      what: `the folder ${folder}`,
      run: () => writableOutcome(folder),
    }),
  ),
]

/** Those that layouts, and answers for CAs, are written into. */
const foldersOf = ({ deployments }: Situation): Set<string> =>
  new Set(
    deployments.flatMap(({ targets, solver }) => [
      ...targets.flatMap(({ kind, settings }) => (kind === 'directory' ? (textIn(settings, 'path') ?? []) : [])),
      ...(solver?.solver === 'webroot' && solver.webroot !== undefined ? [solver.webroot] : []),
    ]),
  )

export const writableOutcome = async (folder: string): Promise<Outcome> => {
  const there = await nearestThere(folder)
  const denied = await codeOf(() => access(there, constants.W_OK | constants.X_OK))
  return denied === undefined
    ? ok(`${folder} can be written`)
    : failed(`${folder} cannot be written by this user (${denied})`, `look who may: ls -ld ${there}`)
}

const ofState = ({ stateRoot, process }: Situation): readonly Check[] => {
  if (stateRoot instanceof CertError) {
    return [{ id: 'state', about: 'state', what: 'the state folder', run: async () => failedBy(stateRoot) }]
  }
  const about = 'state' as const
  return [
    { id: 'state', about, what: `the state folder ${stateRoot}`, run: () => folderOutcome(stateRoot, process) },
    {
      id: 'state-modes',
      about,
      what: `who may read what lies in ${stateRoot}`,
      run: async (signal) =>
        (await nearestThere(stateRoot)) === stateRoot
          ? modesOutcome(stateRoot, await openBelow(stateRoot, signal))
          : ok(`nothing is kept in ${stateRoot} yet`),
    },
    { id: 'state-space', about, what: `the room left for ${stateRoot}`, run: () => spaceOutcome(stateRoot) },
  ]
}

/** Where nothing has been kept yet, the nearest folder above it that is there. */
const nearestThere = async (folder: string): Promise<string> => {
  for (let path = folder; ; path = dirname(path)) {
    if ((await codeOf(() => lstat(path))) === undefined || path === dirname(path)) return path
  }
}

const codeOf = async (work: () => Promise<unknown>): Promise<string | undefined> => {
  try {
    await work()
    return undefined
  } catch (error) {
    return systemCode(error) ?? String(error)
  }
}

const elsewhere = 'give one that this user can write with --state-dir or ACME_OSS_STATE_DIR'

export const folderOutcome = async (root: string, { userId }: Pick<ProcessFacts, 'userId'>): Promise<Outcome> => {
  const there = await nearestThere(root)
  const denied = await codeOf(() => access(there, constants.W_OK | constants.X_OK))
  if (denied !== undefined)
    return failed(`the state folder ${root} cannot be written by this user (${denied})`, elsewhere)
  if (there !== root) return ok(`the state folder ${root} is made when it is first needed`)
  const { uid } = await lstat(root)
  return userId === undefined || uid === userId
    ? ok(`the state folder ${root} can be written`)
    : warning(
        `the state folder ${root} belongs to another user (${uid}), who may not be able to read what this one (${userId}) keeps there`,
        'run acme-oss as that user, or name a folder of your own with --state-dir',
      )
}

// A fleet has tens of thousands of files; those that were written by hand are found among the first as well.
const mostLooks = 2000

/** What others than the owner may read or write: private keys are among it. */
export const openBelow = async (root: string, signal: AbortSignal): Promise<string[]> => {
  const open: string[] = []
  const left = [root]
  for (let looks = 0; looks < mostLooks && left.length > 0; looks++) {
    signal.throwIfAborted()
    const path = left.pop() as string
    const found = await lstat(path).catch(() => undefined)
    if (found === undefined || found.isSymbolicLink()) continue
    if ((found.mode & 0o077) !== 0) open.push(path)
    if (found.isDirectory()) left.push(...(await readdir(path).catch(() => [])).map((name) => join(path, name)))
  }
  return open
}

export const modesOutcome = (root: string, [first, ...others]: readonly string[]): Outcome =>
  first === undefined
    ? ok(`what lies in ${root} can be read by its owner alone`)
    : failed(
        `${first}${others.length === 0 ? '' : ` and ${others.length} more below ${root}`} can be read by others`,
        `chmod -R go= ${root}`,
      )

const mebibyte = 2 ** 20

const spaceOutcome = async (root: string): Promise<Outcome> => {
  const folder = await nearestThere(root)
  const { bavail, bsize } = await statfs(folder)
  return roomOutcome(folder, bavail * bsize)
}

/** @param free in bytes */
export const roomOutcome = (folder: string, free: number): Outcome => {
  const sentence = `${Math.floor(free / mebibyte)} MiB are free for ${folder}`
  const hint = `make room: df ${folder}`
  if (free < 10 * mebibyte) return failed(sentence, hint)
  return free < 100 * mebibyte ? warning(sentence, hint) : ok(sentence)
}
