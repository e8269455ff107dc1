import type { CertificateBundle, CertificateFacts } from '../certificate/bundle.js'
import { CertError } from '../errors.js'

export interface PulledSet {
  readonly bundle: CertificateBundle
  readonly warnings: readonly string[]
}

interface Due {
  readonly from: string | null
  readonly to: string
}

type Leaf = Pick<CertificateFacts, 'names' | 'notBefore' | 'notAfter' | 'fingerprint'>

/** Where sets are put, each into a folder of its own, with a link that leads to the one in use. */
export interface PullPlace<S> {
  folderOf(set: S): string
  linked(): Promise<string | undefined>
  fill(set: S): Promise<void>
  point(folder: string | undefined): Promise<void>
  prune(keep: readonly (string | undefined)[]): Promise<void>
  certificateIn(folder: string): Promise<Leaf | undefined>
  due(): Promise<Due | undefined>
  setDue(due: Due | undefined): Promise<void>
}

export interface PullOptions<S> {
  readonly place: PullPlace<S>
  /** The newest set, and whether all of it lies in the place already. */
  readonly newest: () => Promise<{ readonly set: S; readonly isHere: boolean }>
  /** Runs the user's command for what lies in a folder, which the link leads to. @throws CertError */
  readonly exec: ((folder: string, leaf: Leaf) => Promise<void>) | undefined
  readonly now: () => Date
}

export interface Pulled<S> {
  readonly status: 'changed' | 'unchanged' | 'failed'
  readonly set: S
  /** The folder that the link leads to now. */
  readonly folder: string | undefined
  readonly executed: boolean
  readonly warnings: readonly string[]
  /** Why the command failed; anything else that fails is thrown. */
  readonly error?: CertError
}

/** What a pull would do. */
export interface PullPlan<S> {
  readonly set: S
  readonly folder: string
  readonly fills: boolean
  readonly swaps: boolean
  readonly executes: boolean
  readonly warnings: readonly string[]
}

/** Looks at what there is and what is in use; nothing is written. */
export const planPull = async <S extends PulledSet>({
  place,
  newest,
  exec,
  now,
}: PullOptions<S>): Promise<PullPlan<S>> => {
  const linked = await place.linked()
  const { set, isHere } = await newest()
  const folder = place.folderOf(set)
  const swaps = linked !== folder
  const isDue = (await place.due()) !== undefined
  const older = swaps ? await olderThanLinked(place, set, linked) : []
  return {
    set,
    folder,
    fills: !isHere,
    swaps,
    executes: exec !== undefined && (!isHere || swaps || isDue),
    warnings: [...set.warnings, ...older, ...endingSoon(set.bundle, now())],
  }
}

/**
 * Puts the newest set in use. What a reader finds behind the link is one set at every moment. The command runs when
 * something has changed, also after a run that was killed before it could; where it fails, the set that was in use
 * before is in use again.
 * @throws CertError
 */
export const pull = async <S extends PulledSet>(options: PullOptions<S>): Promise<Pulled<S>> => {
  const { place, exec } = options
  const linked = await place.linked()
  const { set, folder, fills, swaps, executes, warnings } = await planPull(options)
  if (fills) await place.fill(set)
  if (!fills && !swaps && !executes) return { status: 'unchanged', set, folder, executed: false, warnings }
  const before = exec === undefined ? linked : await lastExecuted(place, linked, folder)
  if (executes) await place.setDue({ from: before ?? null, to: folder })
  if (swaps) await place.point(folder)
  if (exec !== undefined && executes) {
    const error = await failureOf(exec(folder, set.bundle))
    if (error !== undefined) {
      const back = await swapBack(place, exec, folder, before)
      return { status: 'failed', set, folder: back.folder, executed: true, warnings, error: withOutcome(error, back) }
    }
    await place.setDue(undefined)
  }
  if (before !== folder) await place.prune([folder, before])
  return { status: 'changed', set, folder, executed: executes, warnings }
}

/** The folder that the command ran with last: a killed run has left the link at one that it has not seen. */
const lastExecuted = async (
  place: PullPlace<never>,
  linked: string | undefined,
  folder: string,
): Promise<string | undefined> => {
  const due = await place.due()
  if (due === undefined) return linked
  if (due.from !== null && (await place.certificateIn(due.from)) !== undefined) return due.from
  return linked === folder ? undefined : linked
}

interface Back {
  readonly folder: string | undefined
  readonly says: string
}

/** Once more with the set from before, so that whoever uses the files stands on it again. */
const swapBack = async (
  place: PullPlace<never>,
  exec: NonNullable<PullOptions<never>['exec']>,
  folder: string,
  before: string | undefined,
): Promise<Back> => {
  if (before === folder) return { folder, says: 'it runs again the next time' }
  await place.point(before)
  const leaf = before === undefined ? undefined : await place.certificateIn(before)
  if (before === undefined || leaf === undefined) {
    await place.setDue(undefined)
    return { folder: undefined, says: 'nothing was in use before, and nothing is now' }
  }
  const error = await failureOf(exec(before, leaf))
  if (error !== undefined) return { folder: before, says: `${before} is in use again, with which it failed as well` }
  await place.setDue(undefined)
  return { folder: before, says: `${before} is in use again` }
}

const failureOf = async (running: Promise<void>): Promise<CertError | undefined> => {
  try {
    await running
    return undefined
  } catch (error) {
    if (error instanceof CertError && error.code === 'PROGRAM_FAILED') return error
    throw error
  }
}

const withOutcome = (error: CertError, { says }: Back): CertError =>
  new CertError(error.code, `${error.message}; ${says}`, { cause: error, hint: error.hint })

/** Older means that it both begins and ends earlier: it was rolled back there, and that has to reach everybody. */
const olderThanLinked = async <S extends PulledSet>(
  place: PullPlace<S>,
  { bundle }: S,
  linked: string | undefined,
): Promise<string[]> => {
  const there = linked === undefined ? undefined : await place.certificateIn(linked)
  if (there === undefined || !(bundle.notBefore < there.notBefore && bundle.notAfter < there.notAfter)) return []
  const until = (date: Date): string => date.toISOString().slice(0, 10)
  return [
    `the certificate is older than the one that was in use (until ${until(bundle.notAfter)}, and that one until ${until(there.notAfter)}): it has been rolled back there`,
  ]
}

const day = 86_400_000

/** Whoever deploys renews long before: seven days, or a third of a short life. */
const endingSoon = ({ notBefore, notAfter }: CertificateBundle, now: Date): string[] => {
  const left = notAfter.getTime() - now.getTime()
  if (left >= Math.min(7 * day, (notAfter.getTime() - notBefore.getTime()) / 3)) return []
  return [
    `the certificate ends on ${notAfter.toISOString().slice(0, 16)}Z, and no newer one is there: look at what renews it`,
  ]
}
