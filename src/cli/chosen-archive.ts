import { type Normalized, normalize } from '../certificate/normalize.js'
import { CertError, isInputError } from '../errors.js'
import { archiveBefore, isNamed, namesToCover } from '../pipeline/rollback.js'
import { standbyName } from '../standby-name.js'
import { CertificateStore } from '../state/certificates.js'
import { type DeploymentRecord, isOlder, isWantedAnywhere, lastAskedFor } from '../state/deployment-record.js'
import { readDeployments } from '../state/deployments.js'
import { type Hold, lookAtHold } from '../state/hold.js'
import type { StateFolder } from '../state/state-folder.js'
import { type ArchiveFacts, archiveFacts } from '../targets/archive-facts.js'
import { readArchive } from '../targets/layout-reader.js'
import {
  type ArchivePlace,
  foldersIn,
  type Latest,
  latestOf,
  recordedArchives,
  requirePlaces,
} from './archive-places.js'
import type { Surroundings } from './command.js'
import type { Standing } from './standing-targets.js'
import { targetName } from './wanted-targets.js'

/** In place of an archive: the certificate that is kept ready. */
export const standby = 'standby'

export interface Search {
  /** An archive, or `standby`; the one before, where it is absent. */
  readonly to: string | undefined
  readonly standing: Standing
  readonly places: readonly ArchivePlace[]
  /** The names that it is to have, where the configuration says. */
  readonly names: readonly string[] | undefined
  /** An error where it cannot be read: then nothing is on record. */
  readonly state: StateFolder | CertError
  readonly surroundings: Surroundings
}

export interface Chosen {
  readonly material: Normalized
  /** The archive that is gone back from, where it is known. */
  readonly from: string | null
  /** SHA-256 of what stands in `latest/`. */
  readonly standingSums: readonly string[]
  /** For people, of how it was chosen. */
  readonly said: readonly string[]
  /** Warnings: of names that it lacks. */
  readonly odd: readonly string[]
}

/**
 * Finds the certificate that is to be gone back to, and reads all of it.
 * @throws CertError ARCHIVE_UNUSABLE, NAME_NOT_COVERED, CLOUD_REFUSED, CLOUD_UNAVAILABLE, an input code
 */
export const chooseCertificate = async (search: Search): Promise<Chosen> => {
  const { to, standing, places, surroundings } = search
  const stored = to === standby ? await storedStandby(search) : undefined
  const first = stored === undefined ? requirePlaces(places, standing.name) : places[0]
  const look = first && (await latestOf(first, surroundings.signal))
  const latest = look?.status === 'found' ? look.value : undefined
  const about = { from: latest?.archive ?? null, standingSums: latest === undefined ? [] : [latest.sha256], said: [] }
  if (to !== undefined || first === undefined || look === undefined) {
    const material = stored ?? (await readAnywhere(places, await askedArchive(search), search))
    return { ...about, material, odd: namesOddIn(material, latest, search) }
  }
  if (look.status === 'refused') throw unreadable(first, look.error)
  if (look.status === 'absent') {
    throw unusable(`there is no certificate in ${first.source.name}latest/ to go back from`, 'name one with --to')
  }
  const ahead = neverArrived(look.value, search)
  if (ahead !== undefined) {
    const material = await readAnywhere(places, look.value.archive, search)
    const why = `${ahead.archive}, which was asked for last, is not in ${first.source.name}latest/: back to what is there`
    return { ...about, from: ahead.archive, material, said: [why], odd: [] }
  }
  const archive = await archiveBeforeLatest(first, look.value, search)
  const material = await readAnywhere(places, archive, search)
  return { ...about, material, odd: lacking(material.bundle.names, look.value.names) }
}

const askedArchive = async ({ to, state, standing }: Search): Promise<string> =>
  to === undefined || to === standby ? await archivedStandby(state, standing.name) : to

/**
 * The certificate that was asked for last, where it never came to `latest/`, whatever other places have it: then what is
 * there is what was there before, unless it is what it was rolled back to.
 */
const neverArrived = (latest: Latest, search: Search): DeploymentRecord | undefined => {
  const { standing } = search
  const hold = holdOf(search)
  if (hold !== undefined && [hold.sha256, ...hold.away].includes(latest.sha256)) return undefined
  const asked = new Set(standing.asked.map(targetName))
  const last = lastAskedFor(standing.records.filter(isWantedAnywhere))
  if (last === undefined || last.fingerprint.sha256 === latest.sha256) return undefined
  // Somewhere else altogether, it says nothing of this place.
  if (!Object.values(last.targets).some(({ name }) => asked.has(name))) return undefined
  const dates = { notBefore: latest.notBefore.toISOString(), notAfter: latest.notAfter.toISOString() }
  return isOlder(last, dates) ? undefined : last
}

const holdOf = ({ standing, state }: Search): Hold | undefined =>
  standing.name === undefined || !('root' in state) ? undefined : lookAtHold(state, standing.name).hold

/** @throws CertError ARCHIVE_UNUSABLE, CLOUD_REFUSED, CLOUD_UNAVAILABLE */
const archiveBeforeLatest = async (place: ArchivePlace, latest: Latest, search: Search): Promise<string> => {
  const { standing, names, state, surroundings } = search
  const { signal, now } = surroundings
  const recorded =
    'root' in state ? await recordedArchives(state, standing.name, standing.records) : { own: [], standby: [] }
  const folders = await foldersIn(place, recorded.own, signal)
  const hold = holdOf(search)
  const isOut = ({ archive, sha256 }: ArchiveFacts): boolean =>
    recorded.standby.includes(archive) || (sha256 !== undefined && hold?.away.includes(sha256) === true)
  const seen = new Map<string, ArchiveFacts>()
  const look = async (folder: string): Promise<ArchiveFacts> => {
    const facts = seen.get(folder) ?? (await archiveFacts(place.source, folder, signal))
    if (facts.refusal !== undefined) throw unreadable(place, facts.refusal)
    seen.set(folder, facts)
    return facts
  }
  const choose = (wanted: readonly string[]) =>
    archiveBefore({ folders: folders.archives, current: { ...latest, names: wanted }, look, isOut, now: now() })
  // What is on record first: that is all of this site. The archives that were looked at tell it where nothing is.
  const known = new Map(standing.records.map((one) => [one.archive, one.names]))
  const wanted = (): readonly string[] => {
    known.delete(latest.archive)
    return names ?? namesToCover(latest.names, [...known.values()], standing.name)
  }
  const before = wanted()
  const { found, passedOver } = await choose(before)
  if (found !== undefined) return found.archive
  for (const { archive, manifest } of seen.values()) if (manifest !== undefined) known.set(archive, manifest.names)
  const second = wanted() === before ? undefined : await choose(wanted())
  if (second?.found !== undefined) return second.found.archive
  const reasons = passedOver.length === 0 ? '' : ` (${passedOver.slice(0, 3).join('; ')})`
  throw unusable(
    `${place.source.name} holds no archive from before ${latest.archive} that would do${reasons}`,
    'acme-oss history lists what there is, --to names one; --to standby takes the certificate that renew keeps ready',
  )
}

/**
 * What to say of the names of one that was asked for. Whether it is that of another site, the configuration and what is
 * on record tell; what stands in `latest/` may be the very mistake.
 * @throws CertError NAME_NOT_COVERED: it is that of another site
 */
const namesOddIn = ({ bundle }: Normalized, latest: Latest | undefined, { standing, names }: Search): string[] => {
  const site = standing.name ?? bundle.name
  const others = standing.records.filter(({ fingerprint }) => fingerprint.sha256 !== bundle.fingerprint.sha256)
  const named = others.filter((one) => isNamed(one.names, site))
  // Filed under a domain that it does not name, the present one may be the mistake.
  const isStrange = (sha256: string): boolean => site.includes('.') && sha256 === latest?.sha256
  const ofSite = named.length > 0 ? named : others.filter(({ fingerprint }) => !isStrange(fingerprint.sha256))
  const known = names ?? [...new Set(ofSite.flatMap((one) => one.names))]
  const isOfSite = isNamed(bundle.names, site) || known.some((one) => isNamed(bundle.names, one))
  if (known.length > 0 && !isOfSite) {
    const own = bundle.names.join(', ')
    throw new CertError('NAME_NOT_COVERED', `the certificate for ${own} is not one of ${site}`, {
      hint: `it covers none of ${known.slice(0, 5).join(', ')}; acme-oss history lists the archives with their names`,
    })
  }
  return lacking(bundle.names, names ?? latest?.names ?? known)
}

const lacking = (names: readonly string[], wanted: readonly string[]): string[] => {
  const missing = wanted.filter((one) => !isNamed(names, one))
  return missing.length === 0
    ? []
    : [`the certificate that is put back does not name ${missing.join(', ')}, which the present one does`]
}

/** Where one place has lost it, another may have it. @throws CertError what the first said */
const readAnywhere = async (places: readonly ArchivePlace[], archive: string, search: Search): Promise<Normalized> => {
  const errors: unknown[] = []
  for (const place of places) {
    try {
      return await read(place, archive, search)
    } catch (error) {
      if (search.surroundings.signal.aborted) throw error
      errors.push(error)
    }
  }
  throw errors[0]
}

/** @throws CertError ARCHIVE_UNUSABLE, CLOUD_REFUSED, CLOUD_UNAVAILABLE, an input code */
const read = async (place: ArchivePlace, archive: string, { standing, surroundings }: Search): Promise<Normalized> => {
  const { now, signal } = surroundings
  try {
    return await readArchive(place.source, archive, { name: standing.name, now }, signal)
  } catch (error) {
    if (!(error instanceof CertError)) throw error
    if (['LAYOUT_MISSING', 'LAYOUT_INVALID', 'LAYOUT_MIXED'].includes(error.code)) {
      throw unusable(error.message, another)
    }
    if (isInputError(error)) throw new CertError(error.code, error.message, { cause: error, hint: another })
    if (error.code === 'CLOUD_REFUSED') throw unreadable(place, error)
    throw error
  }
}

const another = 'acme-oss history lists what there is: choose another one with --to'

const unusable = (message: string, hint: string): CertError => new CertError('ARCHIVE_UNUSABLE', message, { hint })

const unreadable = ({ target, source }: ArchivePlace, error?: CertError): CertError =>
  target.startsWith('oss ')
    ? new CertError('CLOUD_REFUSED', `what lies in ${source.name} may not be read`, {
        cause: error,
        vendor: error?.vendor,
        hint: 'rollback reads the private key from the archive: grant oss:GetObject',
      })
    : new CertError('FILE_UNREADABLE', `what lies in ${source.name} may not be read`, {
        cause: error,
        hint: 'run it as the user that owns the folder',
      })

/** What `renew` keeps ready, filed as what it is to take the place of. */
const storedStandby = async ({ standing, state, surroundings }: Search): Promise<Normalized | undefined> => {
  const site = standing.name
  if (site === undefined || !('root' in state)) return undefined
  const store = new CertificateStore(state, standbyName(site))
  const current = (await store.read())?.current
  const material = current && (await store.readMaterial(current))
  return material && normalize({ ...material, name: site }, surroundings.now())
}

/** @throws CertError ARCHIVE_UNUSABLE, STATE_UNUSABLE */
const archivedStandby = async (state: StateFolder | CertError, site: string | undefined): Promise<string> => {
  if (!('root' in state)) throw state
  const records = site === undefined ? [] : (await readDeployments(state, standbyName(site))).records
  const [newest] = records
  if (newest !== undefined) return newest.archive
  throw unusable(
    `no certificate is kept ready for ${site ?? 'it'} on this machine`,
    'issue-and-deploy --standby, or standby: in the configuration, has renew keep one; --to names one of the archive',
  )
}
