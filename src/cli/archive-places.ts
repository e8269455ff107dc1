import { archiveName } from '../certificate/bundle.js'
import { firstCertificate } from '../certificate/x509.js'
import { CertError } from '../errors.js'
import type { Look } from '../object-store.js'
import { standbyName } from '../standby-name.js'
import type { DeploymentRecord } from '../state/deployment-record.js'
import { readDeployments } from '../state/deployments.js'
import type { StateFolder } from '../state/state-folder.js'
import type { TargetContext } from '../targets/index.js'
import { latestFolder } from '../targets/layout.js'
import { type LayoutSource, layoutSource } from '../targets/layout-source.js'
import { isArchiveName } from '../targets/read-manifest.js'
import type { AskedTarget } from './target-flags.js'
import { targetName } from './wanted-targets.js'

/** A layout that archives are looked for in. */
export interface ArchivePlace {
  /** As the reader would name the target. */
  readonly target: string
  readonly source: LayoutSource
}

/** The layouts among targets. */
export const archivePlaces = (asked: readonly AskedTarget[], context: TargetContext): ArchivePlace[] =>
  asked.flatMap((one) => {
    const source = one.settings['archive-only'] === true ? undefined : layoutSource(one.kind, one.settings, context)
    return source === undefined ? [] : [{ target: targetName(one), source }]
  })

/** What stands in `latest/`. */
export interface Latest {
  readonly archive: string
  readonly sha256: string
  readonly notBefore: Date
  readonly notAfter: Date
  readonly names: readonly string[]
}

/**
 * The leaf in `latest/`: the one file whose truth does not depend on who wrote it.
 * @throws CertError CLOUD_UNAVAILABLE, CREDENTIALS_MISSING
 */
export const latestOf = async ({ source }: ArchivePlace, signal: AbortSignal): Promise<Look<Latest>> => {
  const look = await source.read(`${latestFolder}/cert.pem`, signal)
  if (look.status !== 'found') return look
  const leaf = firstCertificate(look.value)
  if (leaf === undefined) return { status: 'absent' }
  const { fingerprint, notBefore, notAfter, names } = leaf
  const archive = archiveName({ name: '', serial: leaf.serial, fingerprint, notBefore, notAfter, names })
  return { status: 'found', value: { archive, sha256: fingerprint.sha256, notBefore, notAfter, names } }
}

export interface Folders {
  /** The newest first, as far as the names tell. */
  readonly archives: readonly string[]
  /** What else lies there. */
  readonly others: readonly string[]
  /** Why these are only those that this machine has on record; null where it was looked. */
  readonly unlisted: string | undefined
}

/**
 * The archives in a place; where they may not be listed, those that this machine has put there.
 * @throws CertError CLOUD_UNAVAILABLE, CREDENTIALS_MISSING
 */
export const foldersIn = async (
  { target, source }: ArchivePlace,
  recorded: readonly string[],
  signal: AbortSignal,
): Promise<Folders> => {
  const look = (await source.folders?.(signal)) ?? { status: 'refused' }
  if (look.status === 'refused') {
    const why = target.startsWith('oss ') ? 'oss:ListObjects on the bucket is not granted' : 'the folder cannot be read'
    const unlisted = `what lies in ${source.name} may not be listed (${why}): only archives that this machine has on record are known`
    return { archives: inOrder(recorded), others: [], unlisted }
  }
  const all = look.status === 'found' ? look.value : []
  return {
    archives: inOrder(all.filter(isArchiveName)),
    others: all.filter((one) => !isArchiveName(one) && one !== latestFolder).sort(),
    unlisted: undefined,
  }
}

const inOrder = (archives: readonly string[]): string[] => [...new Set(archives)].sort().reverse()

/** What is on record as put into an archive under a name, and what stands by for it. */
export const recordedArchives = async (
  state: StateFolder,
  name: string | undefined,
  records: readonly DeploymentRecord[],
): Promise<{ readonly own: readonly string[]; readonly standby: readonly string[] }> => {
  const archivesOf = (all: readonly DeploymentRecord[]): string[] =>
    all.flatMap(({ archive, targets }) =>
      Object.values(targets).some(({ steps }) => steps['archive'] !== undefined) ? [archive] : [],
    )
  const standby = name === undefined ? [] : (await readDeployments(state, standbyName(name))).records
  return { own: archivesOf(records), standby: archivesOf(standby) }
}

/** @throws CertError USAGE */
export const requirePlaces = (places: readonly ArchivePlace[], name: string | undefined): ArchivePlace => {
  const [first] = places
  if (first !== undefined) return first
  throw new CertError('USAGE', `${name ?? 'it'} goes to no bucket and no folder that would keep its archives`, {
    hint: 'give the place of the archives: --bucket my-ssl-certs --region cn-hangzhou --prefix certs/example.com/, or --directory DIR',
  })
}
