import { setTimeout as sleep } from 'node:timers/promises'
import { archiveName, type CertificateBundle } from '../certificate/bundle.js'
import { normalize } from '../certificate/normalize.js'
import { firstCertificate } from '../certificate/x509.js'
import { CertError } from '../errors.js'
import type { Look } from '../object-store.js'
import { interrupted } from '../patience.js'
import { Secret } from '../secret.js'
import { type LayoutFiles, latestFolder, sha256 } from './layout.js'
import type { LayoutSource } from './layout-source.js'
import { type Manifest, type PemFile, pemFiles, readManifest } from './read-manifest.js'

const manifestFile = 'README.md'

/** The four files of one folder as they were read. */
export type PemTexts = Omit<LayoutFiles, typeof manifestFile>

/** A certificate read from a layout of which all is proven: see `proveSet`. */
export interface ProvenSet {
  readonly manifest: Manifest
  /** As they were read: their sums are those of the manifest. */
  readonly files: PemTexts
  readonly bundle: CertificateBundle
  /** What is odd but no reason to refuse. */
  readonly warnings: readonly string[]
}

export interface Reading {
  /** What the bundle is to be filed under; its first name unless told. */
  readonly name?: string | undefined
  readonly now: () => Date
}

/**
 * One archive, by its own manifest.
 * @throws CertError LAYOUT_MISSING, LAYOUT_INVALID, LAYOUT_MIXED, CLOUD_REFUSED, FILE_UNREADABLE, CLOUD_UNAVAILABLE,
 * CREDENTIALS_MISSING, or an input code: what the archive holds cannot be used (expired, for one)
 */
export const readArchive = async (
  source: LayoutSource,
  folder: string,
  reading: Reading,
  signal: AbortSignal,
): Promise<ProvenSet> => {
  const [manifest, looks] = await Promise.all([
    readManifestOf(source, folder, signal),
    readPems(source, folder, signal),
  ])
  const where = `${source.name}${folder}/`
  const files = requireAll(where, looks)
  if (manifest.archive !== folder) {
    throw new CertError('LAYOUT_INVALID', `${where}${manifestFile} is that of ${manifest.archive}`, {
      hint: 'somebody has copied it there: choose another archive',
    })
  }
  const strangers = unlikeSums(manifest, files)
  if (strangers.length > 0) throw mixed(where, strangers, false)
  return proveSet(where, manifest, files, reading)
}

/**
 * The manifest in `latest/`, or in an archive.
 * @throws CertError as `readArchive`
 */
export const readManifestOf = async (
  source: LayoutSource,
  folder: string,
  signal: AbortSignal,
  held = folder,
): Promise<Manifest> => {
  const path = `${source.name}${folder}/${manifestFile}`
  const look = await source.read(`${held}/${manifestFile}`, signal)
  if (look.status === 'found') return readManifest(look.value, path)
  if (look.status === 'refused') throw refused(path, look.error, true)
  throw new CertError('LAYOUT_MISSING', `there is no ${path}`, {
    hint: 'check the place (--bucket and --prefix, or --directory); acme-oss deploy writes it, and what writes without acme-oss has none',
  })
}

export interface LatestReading extends Reading {
  /** How long a mix may last, in ms. */
  readonly timeout: number
  /** The set that this manifest names, if it is at hand already: then nothing more is read. */
  readonly known?: ((manifest: Manifest) => Promise<ProvenSet | undefined>) | undefined
  /** Told before each pause. */
  readonly onWait?: ((error: CertError) => void) | undefined
}

/**
 * The set that `latest/` is about: the archive that its manifest names, or `latest/` itself where the archive holds the
 * same leaf with another chain, or may not be read. While a deployment is replacing `latest/` it is read again.
 * @throws CertError as `readArchive`
 */
export const readLatest = async (
  source: LayoutSource,
  reading: LatestReading,
  signal: AbortSignal,
): Promise<{ readonly set: ProvenSet; readonly from: 'known' | 'archive' | 'latest' }> => {
  const deadline = performance.now() + reading.timeout
  for (let tries = 0; ; tries++) {
    try {
      return await readLatestOnce(source, reading, signal)
    } catch (error) {
      const pause = Math.min(longestPause, firstPause * 2 ** tries)
      const isMix = error instanceof CertError && error.code === 'LAYOUT_MIXED' && error.passing
      if (!isMix || performance.now() + pause > deadline) throw error
      reading.onWait?.(error)
      await sleep(pause, undefined, { signal }).catch(() => {
        throw interrupted()
      })
    }
  }
}

// In ms. The files of `latest/` are replaced within less than a second.
const firstPause = 50
const longestPause = 2000

const readLatestOnce: typeof readLatest = async (source, reading, signal) => {
  const held = await source.hold(latestFolder)
  const manifest = await readManifestOf(source, latestFolder, signal, held)
  const known = await reading.known?.(manifest)
  if (known !== undefined) return { set: known, from: 'known' }
  const archived = await readPems(source, manifest.archive, signal)
  const archive = allFound(archived)
  if (archive !== undefined && unlikeSums(manifest, archive).length === 0) {
    return { set: proveSet(`${source.name}${manifest.archive}/`, manifest, archive, reading), from: 'archive' }
  }
  const where = `${source.name}${latestFolder}/`
  const looks = await readPems(source, held, signal)
  const absent = pemFiles.filter((file) => looks[file].status === 'absent')
  if (absent.length > 0) throw mixed(where, absent, true)
  const files = requireAll(where, looks)
  const strangers = unlikeSums(manifest, files)
  if (strangers.length > 0) throw mixed(where, strangers, true)
  return { set: proveSet(where, manifest, files, reading), from: 'latest' }
}

/** Sums alone do not tell that what was written was right: the certificate itself is asked. @throws CertError */
export const proveSet = (where: string, manifest: Manifest, files: PemTexts, { name, now }: Reading): ProvenSet => {
  const invalid = (why: string): CertError =>
    new CertError('LAYOUT_INVALID', `${where} ${why}`, {
      hint: 'look at what wrote it: nothing but acme-oss may write there; deploying again puts it right',
    })
  const strangers = unlikeSums(manifest, files)
  if (strangers.length > 0) throw mixed(where, strangers, false)
  const certificate = files['cert.pem']
  const fullchain = files['fullchain.pem']
  if (fullchain !== certificate + files['chain.pem']) {
    throw invalid('has a fullchain.pem that is not cert.pem and chain.pem one after the other')
  }
  const { bundle, warnings } = normalized(where, () =>
    normalize({ name, certificates: fullchain, privateKey: files['privkey.pem'] }, now()),
  )
  if (firstCertificate(certificate)?.fingerprint.sha256 !== bundle.fingerprint.sha256) {
    throw invalid('has a cert.pem that does not begin with the certificate of privkey.pem')
  }
  if (archiveName(bundle) !== manifest.archive) {
    throw invalid(`holds the certificate of ${archiveName(bundle)}, and its ${manifestFile} names ${manifest.archive}`)
  }
  const isTold =
    bundle.names.join() === manifest.names.join() &&
    bundle.notBefore.getTime() === manifest.notBefore.getTime() &&
    bundle.notAfter.getTime() === manifest.notAfter.getTime()
  if (!isTold) throw invalid(`holds a certificate of other names or dates than its ${manifestFile} says`)
  return { manifest, files, bundle, warnings }
}

const normalized = <T>(where: string, work: () => T): T => {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof CertError)) throw error
    const { code, message, hint } = error
    throw new CertError(code, `${where}: ${message}`, { cause: error, hint })
  }
}

type Looks = Readonly<Record<PemFile, Look<string>>>

/** All four at once; all have ended when this returns or throws. */
const readPems = async (source: LayoutSource, folder: string, signal: AbortSignal): Promise<Looks> => {
  const settled = await Promise.allSettled(pemFiles.map((file) => source.read(`${folder}/${file}`, signal)))
  const looks = settled.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
  return Object.fromEntries(pemFiles.map((file, i) => [file, looks[i]])) as Looks
}

const allFound = (looks: Looks): PemTexts | undefined => {
  const text = (file: PemFile): string | undefined => {
    const look = looks[file]
    return look.status === 'found' ? look.value : undefined
  }
  const [cert, key, chain, full] = pemFiles.map(text)
  if (cert === undefined || key === undefined || chain === undefined || full === undefined) return undefined
  return { 'cert.pem': cert, 'privkey.pem': Secret.material(key), 'chain.pem': chain, 'fullchain.pem': full }
}

const requireAll = (where: string, looks: Looks): PemTexts => {
  const found = allFound(looks)
  if (found !== undefined) return found
  for (const file of pemFiles) {
    const look = looks[file]
    if (look.status === 'refused') throw refused(`${where}${file}`, look.error, false)
    if (look.status === 'absent') {
      throw new CertError('LAYOUT_MISSING', `there is no ${where}${file}`, {
        hint: 'a deployment was broken off there, or somebody has deleted it: deploy again, or choose another archive',
      })
    }
  }
  throw new CertError('INTERNAL', `${where} was read, and is not there`)
}

const unlikeSums = ({ sums }: Manifest, files: PemTexts): PemFile[] =>
  pemFiles.filter((file) => sha256(files[file]) !== sums[file])

const mixed = (where: string, files: readonly string[], passing: boolean): CertError =>
  new CertError(
    'LAYOUT_MIXED',
    `${where} is not whole: ${files.join(', ')} and ${manifestFile} are of two deployments`,
    {
      passing,
      hint: passing
        ? 'a deployment is going on there, or was broken off: try again later, or deploy again (acme-oss sync)'
        : 'choose another archive, or deploy the certificate again',
    },
  )

/** @param isFirst nothing there was found yet: without a right to list, OSS refuses what is not there, too */
const refused = (path: string, error: CertError | undefined, isFirst: boolean): CertError =>
  new CertError(error?.code ?? 'CLOUD_REFUSED', error?.message ?? `${path} may not be read`, {
    cause: error,
    vendor: error?.vendor,
    hint: `${error?.hint ?? 'grant oss:GetObject on it'}${isFirst && error?.code !== 'FILE_UNREADABLE' ? '; or nothing has been deployed there yet' : ''}`,
  })
