import { archiveName, type CertificateBundle } from '../certificate/bundle.js'
import { covers } from '../certificate/names.js'
import { firstCertificate } from '../certificate/x509.js'
import { eachOf } from '../each-of.js'
import { CertError } from '../errors.js'
import { CertificateStore } from '../state/certificates.js'
import { type DeploymentRecord, isOlder, isWantedAnywhere, lastAskedFor } from '../state/deployment-record.js'
import { readDeployments } from '../state/deployments.js'
import type { Hold } from '../state/hold.js'
import type { StateFolder } from '../state/state-folder.js'

/** What has to be known of an archive to choose it. */
export interface Candidate {
  readonly archive: string
  /** Undefined where it cannot be read, and then `why` says why. */
  readonly manifest:
    | { readonly names: readonly string[]; readonly notBefore: Date; readonly notAfter: Date }
    | undefined
  /** Behind the archive's name: `has no README.md`. */
  readonly why: string | undefined
}

/** The certificate that is to be gone back from. */
export interface Current {
  readonly archive: string
  readonly notBefore: Date
  readonly names: readonly string[]
}

export interface Choice<T extends Candidate> {
  /** What the archive's folders are called. */
  readonly folders: readonly string[]
  readonly current: Current
  readonly look: (folder: string) => Promise<T>
  /** Not to be gone back to unasked: it was rolled back from, or stands by. */
  readonly isOut: (one: T) => boolean
  readonly now: Date
}

/**
 * The archive before the current one: the newest that began no later, is in force, and covers the same names. Of what
 * was seen on the way and would not do, a reason each.
 */
export const archiveBefore = async <T extends Candidate>({
  folders,
  current,
  look,
  isOut,
  now,
}: Choice<T>): Promise<{ readonly found: T | undefined; readonly passedOver: readonly string[] }> => {
  const dayOf = (folder: string): string => folder.slice(0, 10)
  const earlier = folders.filter((one) => one !== current.archive && dayOf(one) <= dayOf(current.archive))
  const days = [...new Set(earlier.map(dayOf))].sort().reverse()
  const passedOver: string[] = []
  // A day at a time: the name says no more, and each one costs a request.
  for (const day of days) {
    const ofDay = earlier.filter((one) => dayOf(one) === day)
    const facts = await eachOf(ofDay, readAtOnce, look)
    const usable = facts.filter((one) => {
      if (isOut(one)) return false
      const why = whyNot(one, current, now)
      if (why !== undefined) passedOver.push(`${one.archive} ${why}`)
      return why === undefined
    })
    const [found] = usable.sort(newestFirst)
    if (found !== undefined) return { found, passedOver }
  }
  return { found: undefined, passedOver }
}

// A bucket takes far more at a time; a day of which there are thousands is somebody's mistake.
const readAtOnce = 8

/**
 * The names that a certificate has to cover to take the place of the current one: its own, unless it names what most
 * others of the site do not, and lacks what they name. Then it is that of another site, or was issued for the wrong names.
 * @param site what it is filed under: mostly one of its names
 */
export const namesToCover = (
  current: readonly string[],
  others: readonly (readonly string[])[],
  site: string | undefined,
): readonly string[] => {
  const agreed = mostCommon([current, ...others], site)
  const isStrange = lacks(agreed, current) && lacks(current, agreed)
  return isStrange ? agreed : current
}

const lacks = (names: readonly string[], wanted: readonly string[]): boolean =>
  wanted.some((name) => !isNamed(names, name))

export const isNamed = (names: readonly string[], name: string): boolean => covers(names, name) || names.includes(name)

/** Of those that are as frequent, the first. */
const mostCommon = (all: readonly (readonly string[])[], site = ''): readonly string[] => {
  const counts = new Map<string, { readonly names: readonly string[]; readonly count: number }>()
  for (const names of all) {
    const key = names.toSorted().join(' ')
    counts.set(key, { names, count: (counts.get(key)?.count ?? 0) + 1 })
  }
  const isOfSite = (names: readonly string[]): number => (isNamed(names, site) ? 1 : 0)
  const [first] = [...counts.values()].sort(
    (one, other) => isOfSite(other.names) - isOfSite(one.names) || other.count - one.count,
  )
  return first?.names ?? []
}

const whyNot = (one: Candidate, current: Current, now: Date): string | undefined => {
  if (one.manifest === undefined) return one.why
  const { notBefore, notAfter, names } = one.manifest
  if (notBefore > current.notBefore) return 'is newer'
  if (notAfter <= now) return 'has expired'
  const missing = current.names.find((name) => !isNamed(names, name))
  return missing === undefined ? undefined : `does not cover ${missing}`
}

const newestFirst = (one: Candidate, other: Candidate): number =>
  timesOf(other).begins - timesOf(one).begins || timesOf(other).ends - timesOf(one).ends

const timesOf = ({ manifest }: Candidate): { readonly begins: number; readonly ends: number } => ({
  begins: manifest?.notBefore.getTime() ?? 0,
  ends: manifest?.notAfter.getTime() ?? 0,
})

/** SHA-256 of what a machine knew of under a name when it was chosen what to go back to. */
export interface Known {
  readonly recorded: readonly string[]
  /** What our issuer has in store. */
  readonly stored: readonly string[]
}

/** @throws CertError STATE_UNUSABLE */
export const whatIsKnown = async (
  state: StateFolder,
  name: string,
  records: readonly DeploymentRecord[],
): Promise<Known> => ({
  recorded: records.map(({ fingerprint }) => fingerprint.sha256),
  stored: await inStore(state, name),
})

/**
 * The hold that keeps a certificate where it was rolled back to, against all that was known of which could take its
 * place: what stood there, what was asked for last, what our issuer had in store, and whatever is not older. What came
 * since may be good, or may be the next bad one: nobody has chosen to go back from that.
 * @param standing SHA-256 of what stood in `latest/`
 */
export const holdOn =
  (state: StateFolder, bundle: CertificateBundle, known: Known, standing: readonly string[], now: () => Date) =>
  /** @throws CertError OVERTAKEN, STATE_UNUSABLE */
  async (before: Hold | undefined): Promise<Hold> => {
    const { name, notBefore, notAfter, fingerprint } = bundle
    // What is noted from here on was asked for after the rollback.
    const at = now().toISOString()
    const { records } = await readDeployments(state, name)
    requireNoOther(records, [...known.recorded, fingerprint.sha256], name)
    const dates = { notBefore: notBefore.toISOString(), notAfter: notAfter.toISOString() }
    const last = lastAskedFor(records.filter(isWantedAnywhere))
    // Also what counts for nothing any more, where it was rolled back from before.
    const rivals = records.filter((record) => record === last || !isOlder(record, dates))
    const all = [
      ...(before === undefined ? [] : [...before.away, before.sha256]),
      ...standing,
      ...rivals.map((record) => record.fingerprint.sha256),
      ...known.stored,
    ]
    return {
      schema: 1,
      name,
      archive: archiveName(bundle),
      sha256: fingerprint.sha256,
      ...dates,
      away: [...new Set(all)].filter((one) => one !== fingerprint.sha256),
      at,
    }
  }

/** @throws CertError OVERTAKEN */
const requireNoOther = (records: readonly DeploymentRecord[], known: readonly string[], name: string): void => {
  const other = records.find(({ fingerprint }) => !known.includes(fingerprint.sha256))
  if (other === undefined) return
  throw new CertError('OVERTAKEN', `a new certificate came meanwhile: ${other.archive}; nothing was rolled back`, {
    hint: `if it is bad too, once more: acme-oss rollback ${name}`,
  })
}

const inStore = async (state: StateFolder, name: string): Promise<string[]> => {
  const store = new CertificateStore(state, name)
  const current = (await store.read())?.current
  const pem = current && (await store.readCertificates(current))
  const leaf = pem === undefined ? undefined : firstCertificate(pem)
  return leaf === undefined ? [] : [leaf.fingerprint.sha256]
}
