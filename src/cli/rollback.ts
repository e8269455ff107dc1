import { archiveName } from '../certificate/bundle.js'
import { type Normalized, normalize } from '../certificate/normalize.js'
import { certificateNamed } from '../config/config.js'
import { CertError, isInputError } from '../errors.js'
import { planDeployment } from '../pipeline/plan.js'
import { archiveBefore, holdOn } from '../pipeline/rollback.js'
import { standbyName } from '../standby-name.js'
import { CertificateStore } from '../state/certificates.js'
import { readDeployments } from '../state/deployments.js'
import { type Hold, readHold } from '../state/hold.js'
import { StateFolder } from '../state/state-folder.js'
import { type ArchiveFacts, archiveFacts } from '../targets/archive-facts.js'
import { targetOptions } from '../targets/index.js'
import { readArchive } from '../targets/layout-reader.js'
import { isArchiveName } from '../targets/read-manifest.js'
import {
  type ArchivePlace,
  archivePlaces,
  foldersIn,
  type Latest,
  latestOf,
  recordedArchives,
  requirePlaces,
} from './archive-places.js'
import { defineCommand, type Surroundings } from './command.js'
import { commonFlags, lookFlags, reachFlags, stateRoot } from './common-flags.js'
import { carryOut, openReach, printable, showPlan } from './deployment.js'
import { text, toggle } from './flag.js'
import { printJson } from './json.js'
import { leftAlone, type Standing, standingTargets } from './standing-targets.js'
import { type AskedTarget, targetFlags } from './target-flags.js'
import { Terminal, wantsColor } from './terminal.js'
import { openConfig } from './wanted-targets.js'

const name = 'rollback'

// What a rollback decides for itself, or is no part of it.
const {
  'allow-older': _older,
  'allow-untrusted': _untrusted,
  'cas-prune': _prune,
  verify: _verify,
  ...placeFlags
} = targetFlags

const standby = 'standby'

export const command = defineCommand({
  name,
  summary:
    'Puts an earlier certificate of the archive back, in latest/ and on every domain together, and keeps it there until a different one comes: renew, sync and hooks do not bring back what was rolled back from.',
  flags: {
    to: text('the folder of the archive, or standby for the certificate that renew keeps ready [the one before]', {
      placeholder: 'ARCHIVE|standby',
    }),
    'no-verify': toggle('do not look whether every domain serves it'),
    ...placeFlags,
    ...reachFlags,
    ...lookFlags,
    'dry-run': toggle('say which certificate would go where, and do nothing'),
    ...commonFlags,
  },
  words: { usage: '[NAME]', most: 1 },
  examples: [
    ['acme-oss rollback example.com', 'the certificate before this one, everywhere'],
    ['acme-oss rollback example.com --to standby', 'that of the second CA, which renew keeps ready'],
  ],
  run: async (values, surroundings, parsed) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    const { to } = values
    if (to !== undefined && to !== standby && !isArchiveName(to)) {
      throw new CertError('USAGE', `"${printable(to)}" is not what an archive is called`, {
        hint: 'acme-oss history lists them; such as --to 2026-05-30_e5f6a7b8, or --to standby',
      })
    }
    const root = stateRoot(values, surroundings)
    // Only looked at, so that a refusal leaves nothing behind.
    const folder = StateFolder.at(root)
    const config = await openConfig(values, surroundings, true)
    const wish = {
      values,
      targetValues: () => parsed.read(targetFlags),
      config: async () => config,
      surroundings,
      terminal,
      typed: true,
    }
    const standing = await standingTargets(wish, folder, parsed.words[0])
    const reach = openReach(values, surroundings, terminal)
    try {
      const places = archivePlaces(standing.asked, reach.context)
      const names = config && standing.name !== undefined ? certificateNamed(config, standing.name)?.domains : undefined
      const search = { to, standing, places, names, state: folder, surroundings }
      const { material, latest } = await findMaterial(search)
      const { bundle, warnings } = material
      // Flags may name a place that nothing is on record of: then it is filed as `deploy` would file it.
      const asked = standing.asked.map((one) => insisting(one, !values['no-verify']))
      const targets = reach.targets(asked)
      planDeployment(bundle, targets)
      const odd = namesOddIn(bundle.names, names ?? latest?.names ?? [], bundle.name)
      const others = leftAlone(standing).map(
        (one) => `${one} is on record for ${bundle.name} and not among the targets: it is left as it is`,
      )
      const request = {
        command: name,
        json: values.json,
        bundle,
        targets,
        warnings: [...warnings, ...odd, ...others],
        terminal,
      }
      const from = latest === undefined ? null : latest.archive
      if (values['dry-run']) {
        const { result, status } = showPlan(request)
        if (values.json) terminal.result(printJson({ ...result, from, hold: null }))
        return status
      }
      terminal.progress(
        `${printable(bundle.name)}: back to ${archiveName(bundle)}${from === null ? '' : ` from ${from}`}`,
      )
      const state = await StateFolder.open(root)
      const sums = latest === undefined ? [] : [latest.sha256]
      const { result, status } = await carryOut({
        ...request,
        hold: holdOn(state, bundle, sums, surroundings.now),
        state,
        surroundings,
      })
      const hold = await readHold(state, bundle.name)
      if (values.json) terminal.result(printJson({ ...result, from, hold: holdJson(hold) }))
      else if (hold !== undefined) {
        terminal.progress(
          `${printable(bundle.name)} is held at ${hold.archive} until a different certificate comes: once the cause is mended, ${await howToEnd(state, bundle.name)}`,
        )
      }
      return status
    } finally {
      reach.connections.close()
    }
  },
})

/** In this deployment the older one replaces the newer one, whoever issued it, and no newer one will do. */
const insisting = ({ kind, settings }: AskedTarget, isVerified: boolean): AskedTarget => {
  const { prune: _pruned, verify, ...rest } = settings
  const knows = (option: string): boolean => Object.hasOwn(targetOptions[kind] ?? {}, option)
  // Whether strangers can read the bucket is another question, asked where it was asked before.
  const isLookedAt = kind === 'oss' ? verify === true : isVerified && knows('verify')
  return {
    kind,
    settings: {
      ...rest,
      ...(knows('allow-older') && { 'allow-older': true, 'allow-untrusted': true, exactly: true }),
      ...(isLookedAt && { verify: true }),
    },
  }
}

/** @throws CertError NAME_NOT_COVERED: it is that of another site */
const namesOddIn = (names: readonly string[], wanted: readonly string[], site: string): string[] => {
  const missing = wanted.filter((one) => !names.includes(one))
  if (missing.length === 0) return []
  if (missing.length === wanted.length) {
    throw new CertError('NAME_NOT_COVERED', `the certificate for ${names.join(', ')} is not one of ${site}`, {
      hint: `it covers none of ${wanted.slice(0, 5).join(', ')}; acme-oss history lists the archives with their names`,
    })
  }
  return [`the certificate that is put back does not name ${missing.join(', ')}, which the present one does`]
}

interface Search {
  readonly to: string | undefined
  readonly standing: Standing
  readonly places: readonly ArchivePlace[]
  /** The names that it is to have, where the configuration says. */
  readonly names: readonly string[] | undefined
  readonly state: StateFolder
  readonly surroundings: Surroundings
}

interface Material {
  readonly material: Normalized
  readonly latest: Latest | undefined
}

const findMaterial = async (search: Search): Promise<Material> => {
  const { to, standing, places, state, surroundings } = search
  const { signal, now } = surroundings
  if (to === standby) {
    const stored = standing.name === undefined ? undefined : await storedStandby(state, standing.name, now())
    const [place] = places
    const look = place && (await latestOf(place, signal))
    const latest = look?.status === 'found' ? look.value : undefined
    if (stored !== undefined) return { material: stored, latest }
    const archive = await archivedStandby(state, standing.name)
    return { material: await read(requirePlaces(places, standing.name), archive, search), latest }
  }
  const first = requirePlaces(places, standing.name)
  const look = await latestOf(first, signal)
  if (to !== undefined) {
    const latest = look.status === 'found' ? look.value : undefined
    return { material: await readAnywhere(places, to, search), latest }
  }
  if (look.status === 'refused') throw unreadable(first)
  if (look.status === 'absent') {
    throw unusable(`there is no certificate in ${first.source.name}latest/ to go back from`, 'name one with --to')
  }
  const { found, passedOver } = await before(first, look.value, search)
  if (found === undefined) {
    const seen = passedOver.length === 0 ? '' : ` (${passedOver.slice(0, 3).join('; ')})`
    throw unusable(
      `${first.source.name} holds no archive from before ${look.value.archive} that would do${seen}`,
      'acme-oss history lists what there is, --to names one; --to standby takes the certificate that renew keeps ready',
    )
  }
  return { material: await readAnywhere(places, found.archive, search), latest: look.value }
}

const before = async (place: ArchivePlace, latest: Latest, { standing, names, state, surroundings }: Search) => {
  const { signal, now } = surroundings
  const recorded = await recordedArchives(state, standing.name, standing.records)
  const folders = await foldersIn(place, recorded.own, signal)
  const hold = standing.name === undefined ? undefined : await readHold(state, standing.name)
  const isOut = ({ archive, sha256 }: ArchiveFacts): boolean =>
    recorded.standby.includes(archive) || (sha256 !== undefined && hold?.away.includes(sha256) === true)
  return await archiveBefore({
    folders: folders.archives,
    current: { ...latest, names: names ?? latest.names },
    look: async (folder) => {
      const facts = await archiveFacts(place.source, folder, signal)
      if (facts.isRefused) throw unreadable(place)
      return facts
    },
    isOut,
    now: now(),
  })
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
        hint: 'run it as the user that owns the folder',
      })

/** What `renew` keeps ready, filed as what it is to take the place of. */
const storedStandby = async (state: StateFolder, site: string, now: Date): Promise<Normalized | undefined> => {
  const store = new CertificateStore(state, standbyName(site))
  const current = (await store.read())?.current
  const material = current && (await store.readMaterial(current))
  return material && normalize({ ...material, name: site }, now)
}

/** @throws CertError ARCHIVE_UNUSABLE */
const archivedStandby = async (state: StateFolder, site: string | undefined): Promise<string> => {
  const records = site === undefined ? [] : (await readDeployments(state, standbyName(site))).records
  const [newest] = records
  if (newest !== undefined) return newest.archive
  throw unusable(
    `no certificate is kept ready for ${site ?? 'it'} on this machine`,
    'issue-and-deploy --standby, or standby: in the configuration, has renew keep one; --to names one of the archive',
  )
}

const howToEnd = async (state: StateFolder, site: string): Promise<string> => {
  const issued = await new CertificateStore(state, site).read()
  return issued !== undefined && !issued.forgotten
    ? `acme-oss renew ${printable(site)} --force-renewal`
    : 'have your client issue a new one'
}

const holdJson = (hold: Hold | undefined) =>
  hold === undefined ? null : { archive: hold.archive, sha256: hold.sha256, away: hold.away, at: hold.at }
