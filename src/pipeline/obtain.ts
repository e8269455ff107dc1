import { type Normalized, normalize } from '../certificate/normalize.js'
import { renewalTime } from '../certificate/renewal-time.js'
import { CertError, toCertError } from '../errors.js'
import type { Source } from '../sources/source.js'
import { type CertificateRecord, CertificateStore, type IssuedVersion } from '../state/certificates.js'
import { withLock } from '../state/lock.js'
import type { StateFolder } from '../state/state-folder.js'

/** A certificate that our issuer is to provide, with all that is to be remembered of it. */
export type Wanted = Omit<CertificateRecord, 'schema' | 'current'>

export interface Stored extends Normalized {
  readonly version: IssuedVersion
}

export interface Obtained extends Normalized {
  /** Was it ordered now, rather than found in the state folder? */
  readonly ordered: boolean
  readonly ms: number
}

export interface ObtainOptions {
  readonly wanted: Wanted
  /** Orders one; asked only when none is stored that will do. */
  readonly source: Source
  readonly state: StateFolder
  readonly now: () => Date
  readonly signal: AbortSignal
  /** Order although the stored one is not due. */
  readonly force: boolean
  /** Told once, when another process is issuing the same one. */
  readonly onWait: (owner: string) => void
}

/**
 * The stored certificate where it is what is wanted and not due, else a new one, which is on disk when this returns:
 * whatever becomes of its deployment, it is never ordered twice.
 * @throws CertError what the source throws, CA_REFUSED, STATE_UNUSABLE
 */
export const obtain = async (options: ObtainOptions): Promise<Obtained> => {
  const { wanted, source, state, now, signal, onWait } = options
  return await withLock(state, `issue ${wanted.name}`, { signal, onWait }, async () => {
    const store = new CertificateStore(state, wanted.name)
    const stored = options.force ? undefined : await findStored(state, wanted, now())
    if (stored !== undefined) {
      await store.keepRecord({ ...wanted, schema: 1, current: stored.version })
      return { ...stored, ordered: false, ms: 0 }
    }
    const start = performance.now()
    const material = await source.collect(signal)
    const issued = usable(() => normalize({ ...material, name: wanted.name }, now()), wanted.issue.ca)
    const missing = wanted.names.find((name) => !issued.bundle.names.includes(name))
    if (missing !== undefined) {
      throw new CertError('CA_REFUSED', `${wanted.issue.ca} issued a certificate without ${missing}`, {
        hint: 'it was not deployed; use another --ca',
      })
    }
    const ms = Math.round(performance.now() - start)
    try {
      await store.keep(issued.bundle, wanted)
      return { ...issued, ordered: true, ms }
    } catch (error) {
      // Being deployed matters more than being kept: thrown away, it would have to be ordered again.
      const warning = `the certificate could not be kept, so the next run orders another: ${toCertError(error).message}`
      return { ...issued, warnings: [...issued.warnings, warning], ordered: true, ms }
    }
  })
}

/** Whatever is wrong with it, what was given on the command line is not to blame. */
const usable = <T>(check: () => T, ca: string): T => {
  try {
    return check()
  } catch (error) {
    const { message } = toCertError(error)
    throw new CertError('CA_REFUSED', `${ca} issued what cannot be used: ${message}`, {
      cause: error,
      hint: 'it was not deployed; check the clock of this machine, or use another --ca',
    })
  }
}

/** The stored certificate, where it is what is wanted and has time left. */
export const findStored = async (state: StateFolder, wanted: Wanted, now: Date): Promise<Stored | undefined> => {
  const store = new CertificateStore(state, wanted.name)
  const record = await store.read()
  const version = record?.current
  if (record === undefined || version === undefined || !isWhatIsWanted(wanted, record.names, version)) return undefined
  const material = await store.readMaterial(version)
  if (material === undefined) return undefined
  try {
    const normalized = normalize({ ...material, name: wanted.name }, now)
    const { notBefore, notAfter } = normalized.bundle
    return renewalTime(notBefore, notAfter) <= now ? undefined : { ...normalized, version }
  } catch {
    // Damaged on disk: a new one is the way out.
    return undefined
  }
}

/** A certificate of a test CA, or with another kind of key, is not what is wanted, whatever its names. */
const isWhatIsWanted = ({ names, issue }: Wanted, stored: readonly string[], version: IssuedVersion): boolean =>
  Array.isArray(stored) &&
  [...names].sort().join() === [...stored].sort().join() &&
  version.directory === issue.directory &&
  version.keyType === issue.keyType
