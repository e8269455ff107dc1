import { eachOf } from '../each-of.js'
import { isArchived, type Use, usesOf } from '../monitor/in-use.js'
import { type Hold, lookAtHold } from '../state/hold.js'
import { StateFolder } from '../state/state-folder.js'
import { type ArchiveFacts, archiveFacts } from '../targets/archive-facts.js'
import type { DeployTarget } from '../targets/target.js'
import {
  type ArchivePlace,
  archivePlaces,
  type Folders,
  foldersIn,
  latestOf,
  recordedArchives,
  requirePlaces,
} from './archive-places.js'
import { defineCommand, exitCodes } from './command.js'
import { commonFlags, stateRoot } from './common-flags.js'
import { openReach, printable, type Reach } from './deployment.js'
import { text, toggle, wholeNumber } from './flag.js'
import { printJson } from './json.js'
import { type Standing, standingTargets } from './standing-targets.js'
import { targetFlags } from './target-flags.js'
import { Terminal, wantsColor } from './terminal.js'
import { openConfig } from './wanted-targets.js'

const name = 'history'

const { region, prefix, 'cname-endpoint': cnameEndpoint } = targetFlags

export const command = defineCommand({
  name,
  summary:
    'Lists the certificates in the archive of a bucket or a folder, the newest first: their names, how long they are valid, and where each is in use. rollback puts one of them back.',
  flags: {
    bucket: text('the OSS bucket that the archives are in', { placeholder: 'BUCKET' }),
    region,
    prefix,
    directory: text('the folder that they are in', { placeholder: 'DIR' }),
    endpoint: text('URL for reading objects [https://oss-REGION.aliyuncs.com]', { placeholder: 'URL' }),
    'cname-endpoint': cnameEndpoint,
    limit: wholeNumber('how many archives', { min: 1, max: 1000, fallback: 20, placeholder: 'N' }),
    'no-look': toggle('do not ask domains which certificate they have: what is on record is enough'),
    timeout: wholeNumber('seconds for one request with all its retries', { min: 1, max: 3600, fallback: 60 }),
    ...commonFlags,
  },
  words: { usage: '[NAME]', most: 1 },
  examples: [
    ['acme-oss history example.com', 'where its entry in the configuration, or what is on record, has it archived'],
    ['acme-oss history --bucket my-ssl-certs --region cn-hangzhou --prefix certs/example.com/', 'in that bucket'],
  ],
  run: async (values, surroundings, parsed) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    const { signal, now } = surroundings
    // Only looked at: asking is not to make anything.
    const state = StateFolder.at(stateRoot(values, surroundings))
    const config = await openConfig(values, surroundings, true)
    const wish = {
      values,
      targetValues: () => parsed.read(targetFlags),
      config: async () => config,
      surroundings,
      terminal,
      typed: true,
    }
    const standing = await standingTargets(wish, state, parsed.words[0])
    const reach = openReach(
      { ...values, 'verify-timeout': 0, connect: [], 'dns-resolver': undefined },
      surroundings,
      terminal,
    )
    try {
      const places = archivePlaces(standing.asked, reach.context)
      requirePlaces(places, standing.name)
      const recorded = await recordedArchives(state, standing.name, standing.records)
      const { hold, damage } = standing.name === undefined ? unheld : lookAtHold(state, standing.name)
      const uses = await usesOf(watched(standing, reach), standing.records, { isLooking: !values['no-look'], signal })
      const known = [...recorded.own, ...recorded.standby]
      const found = await Promise.all(places.map((place) => look(place, known, values.limit, signal)))
      const about = { uses, hold, standby: recorded.standby, now: now() }
      const warnings = [
        ...(damage === undefined ? [] : [damage.message]),
        ...found.flatMap(({ place, folders, latest }) => [
          ...(folders.unlisted === undefined ? [] : [folders.unlisted]),
          ...(latest === null ? [unreadLatest(place)] : []),
        ]),
      ]
      const status = found.some(isUnseen) ? exitCodes.failed : exitCodes.done
      for (const warning of warnings) terminal.warning(warning)
      if (values.json)
        terminal.result(
          printJson(resultJson({ site: standing.name, found, about, warnings: [...new Set(warnings)], status })),
        )
      else for (const one of found) show(terminal, one, about, values.limit)
      return status
    } finally {
      reach.connections.close()
    }
  },
})

const unheld = { hold: undefined, damage: undefined }

const unreadLatest = ({ target, source }: ArchivePlace): string =>
  `${source.name}latest/ may not be read${target.startsWith('oss ') ? ': oss:GetObject is not granted' : ''}`

/** Nothing of it could be looked at: what is there is not known, not even whether there is anything. */
const isUnseen = ({ folders, archives }: Found): boolean =>
  folders.unlisted !== undefined && archives.every(({ refusal }) => refusal !== undefined)

/** All that the name is bound to, with what flags or its entry name. */
const watched = ({ asked, records }: Standing, reach: Reach): DeployTarget[] => {
  const recorded = records.flatMap(({ targets }) => Object.values(targets))
  const all = [...asked, ...recorded].flatMap((one) => {
    try {
      return reach.targets([one])
    } catch {
      // Of another version, or a file that was changed since.
      return []
    }
  })
  return [
    ...new Map(
      all.filter(({ settings }) => settings['archive-only'] !== true).map((one) => [one.identity, one]),
    ).values(),
  ]
}

interface Found {
  readonly place: ArchivePlace
  readonly folders: Folders
  /** The archive whose certificate stands in `latest/`; undefined where none does, null where that may not be read. */
  readonly latest: string | undefined | null
  readonly archives: readonly ArchiveFacts[]
}

// Each is one small object; a bucket takes far more at a time.
const readAtOnce = 8

const look = async (
  place: ArchivePlace,
  known: readonly string[],
  limit: number,
  signal: AbortSignal,
): Promise<Found> => {
  const [folders, latest] = await Promise.all([foldersIn(place, known, signal), latestOf(place, signal)])
  const archives = await eachOf(folders.archives.slice(0, limit), readAtOnce, (one) =>
    archiveFacts(place.source, one, signal),
  )
  return {
    place,
    folders,
    latest: latest.status === 'found' ? latest.value.archive : latest.status === 'refused' ? null : undefined,
    archives: archives.sort(newestFirst),
  }
}

/** Those of a day, by when they begin. */
const newestFirst = (one: ArchiveFacts, other: ArchiveFacts): number =>
  compare(other.archive.slice(0, 10), one.archive.slice(0, 10)) ||
  (other.manifest?.notBefore.getTime() ?? 0) - (one.manifest?.notBefore.getTime() ?? 0) ||
  (other.manifest?.notAfter.getTime() ?? 0) - (one.manifest?.notAfter.getTime() ?? 0)

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0)

interface About {
  readonly uses: readonly Use[]
  readonly hold: Hold | undefined
  readonly standby: readonly string[]
  readonly now: Date
}

const usesIn = (one: ArchiveFacts, { uses }: About): Use[] =>
  uses.filter(({ certificate }) => isArchived(one, certificate))

const isExpired = ({ manifest }: ArchiveFacts, { now }: About): boolean | null =>
  manifest === undefined ? null : manifest.notAfter <= now

/** Unknown: it may not be read. */
const statusOf = ({ manifest, refusal }: ArchiveFacts): 'whole' | 'damaged' | 'unknown' =>
  manifest !== undefined ? 'whole' : refusal === undefined ? 'damaged' : 'unknown'

interface Shown {
  readonly site: string | undefined
  readonly found: readonly Found[]
  readonly about: About
  readonly warnings: readonly string[]
  readonly status: number
}

const resultJson = ({ site, found, about, warnings, status }: Shown) => ({
  schema: 'acme-oss/1',
  command: name,
  ok: status === exitCodes.done,
  name: site ?? null,
  places: found.map(({ place, folders, latest, archives }) => ({
    target: place.target,
    place: place.source.name,
    latest: latest ?? null,
    listed: folders.unlisted === undefined,
    count: folders.archives.length,
    archives: archives.map((one) => ({
      archive: one.archive,
      status: statusOf(one),
      why: one.why ?? null,
      names: one.manifest?.names ?? [],
      issuer: one.issuer ?? null,
      keyType: one.keyType ?? null,
      notBefore: one.manifest?.notBefore.toISOString() ?? null,
      notAfter: one.manifest?.notAfter.toISOString() ?? null,
      sha256: one.sha256 ?? null,
      expired: isExpired(one, about),
      latest: one.archive === latest,
      held: one.archive === about.hold?.archive,
      rolledBackFrom: one.sha256 !== undefined && about.hold?.away.includes(one.sha256) === true,
      standby: about.standby.includes(one.archive),
      inUse: usesIn(one, about).map((use) => ({
        target: use.target,
        place: use.place,
        by: 'archive' in use.certificate ? 'record' : 'look',
      })),
    })),
    others: folders.others,
  })),
  warnings,
  error: null,
})

const show = (terminal: Terminal, { place, folders, latest, archives }: Found, about: About, limit: number): void => {
  terminal.result(place.source.name)
  if (archives.length === 0) {
    terminal.result(
      folders.unlisted === undefined ? '  no certificate is archived there' : '  what is there is not known',
    )
  }
  const rows = archives.map((one) => ({
    one,
    cells: [
      one.archive,
      one.manifest === undefined ? '' : `until ${one.manifest.notAfter.toISOString().slice(0, 10)}`,
      one.keyType ?? '',
      one.manifest === undefined ? '' : shortened(one.manifest.names),
      one.issuer ?? '',
    ],
  }))
  const widths = [0, 1, 2, 3, 4].map((i) => Math.max(0, ...rows.map(({ cells }) => cells[i]?.length ?? 0)))
  for (const { one, cells } of rows) {
    const line = cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')
    terminal.result(`  ${printable(line).trimEnd()}${remarks(terminal, one, { place, latest }, about)}`)
  }
  const left = folders.archives.length - archives.length
  if (left > 0) terminal.result(`  and ${left} older (--limit ${limit})`)
  if (folders.others.length > 0) {
    terminal.progress(`no archives, and left alone: ${printable(folders.others.slice(0, 5).join(', '))}`)
  }
}

const remarks = (
  terminal: Terminal,
  one: ArchiveFacts,
  { place: own, latest }: Pick<Found, 'place' | 'latest'>,
  about: About,
): string => {
  // Of this very place, `latest` says it.
  const others = usesIn(one, about).filter(({ target }) => target !== own.target)
  const places = [...new Set(others.map(({ target, place }) => placeName(target, place)))]
  const isAway = one.sha256 !== undefined && about.hold?.away.includes(one.sha256) === true
  const said = [
    ...(one.why === undefined ? [] : [terminal.paint('red', one.why)]),
    ...(isExpired(one, about) === true ? [terminal.paint('red', 'expired')] : []),
    ...(one.archive === latest ? [terminal.paint('green', 'latest')] : []),
    ...(one.archive === about.hold?.archive ? ['held'] : []),
    ...(isAway ? ['rolled back from'] : []),
    ...(about.standby.includes(one.archive) ? ['standby'] : []),
    ...places,
  ]
  return said.length === 0 ? '' : `  (${said.join(', ')})`
}

const placeName = (target: string, place: string): string =>
  target.startsWith('oss ') || target.startsWith('directory ')
    ? target
    : target.endsWith(place)
      ? target
      : `${target.split(' ')[0]} ${place}`

const shortened = (names: readonly string[]): string =>
  names.length <= 2 ? names.join(', ') : `${names.slice(0, 2).join(', ')} and ${names.length - 2} more`
