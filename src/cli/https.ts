import { eachOf } from '../each-of.js'
import { CertError, toCertError } from '../errors.js'
import { changeHttps, type HttpsVerb, type PlaceReport } from '../https/change-https.js'
import type { HttpsPlace, HttpsState } from '../https/https-place.js'
import { lastChange, openChange } from '../https/saved-https.js'
import { type VersionsServed, versionsOf } from '../proof/tls-versions.js'
import { deploymentNames, readDeployments } from '../state/deployments.js'
import { type HttpsRecord, readHttpsRecord } from '../state/https-record.js'
import { StateFolder } from '../state/state-folder.js'
import { type Command, defineCommand, exitCodes, type Parsed, type Surroundings } from './command.js'
import { commonFlags, openState, reachFlags, stateRoot } from './common-flags.js'
import { openReach, type Reach } from './deployment.js'
import { type Flags, toggle, typed, type Values } from './flag.js'
import { placeFlags, targetValuesOf, wishFlags, wishOf } from './https-flags.js'
import { type InterlockOptions, type ProvenByHttp, requireSafe } from './https-interlock.js'
import { type FoundPlaces, httpsPlaces } from './https-places.js'
import { printJson } from './json.js'
import { once } from './once.js'
import { proofFlags } from './proof-flags.js'
import { renewables } from './renewable.js'
import { httpsJson, type ShownPlace, showPlace } from './show-https.js'
import { Terminal, wantsColor } from './terminal.js'
import { openConfig } from './wanted-targets.js'

const verbs = ['status', 'enforce', 'relax', 'restore', 'disable'] as const
type Verb = (typeof verbs)[number]

// How long an emergency waits for others that are at work on a place, in ms.
const longestPatience = 5000

// Side by side; each waits for the network most of its time.
const placesAtOnce = 4

const flags = {
  ...placeFlags,
  ...typed({
    all: toggle('every place of the configuration, and every other that a certificate was put to'),
    live: toggle('status: try every version of TLS at every domain'),
    force: toggle('restore: also what somebody else has changed since'),
  }),
  ...wishFlags,
  'dry-run': toggle('show what stands there and what would, and change nothing'),
  ...reachFlags,
  ...proofFlags,
  ...commonFlags,
}
type HttpsValues = Values<typeof flags>

export const command: Command<typeof flags> = defineCommand({
  name: 'https',
  summary:
    'Forces HTTPS on buckets, CDN and DCDN domains (enforce), lets plain HTTP work again in an emergency (relax), puts back what stood there before the last change (restore), or ends HTTPS (disable). What stands there is saved before every change. Named are certificates, or places by flags.',
  flags,
  words: { usage: 'status|enforce|relax|restore|disable [NAME...]', least: 1, most: Number.POSITIVE_INFINITY },
  examples: [
    ['acme-oss https enforce example.com --dry-run', 'what would change, wherever this certificate is'],
    ['acme-oss https relax --cdn-domain www.example.com', 'an emergency: plain HTTP works again'],
  ],
  run: async (values, surroundings, parsed) => {
    const [verb, ...names] = readWords(parsed.words)
    requireFit(verb, values, names)
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    const reach = openReach({ ...values, 'verify-timeout': 0 }, surroundings, terminal)
    try {
      const work = { verb, values, surroundings, terminal, parsed, reach }
      const { places, lost } = await placesOf(work, names)
      const seen = verb === 'status' ? await lookAtAll(places, work) : await changeAll(places, verb, work)
      const shown = [...seen, ...lost.map(lostPlace)]
      const status = statusOf(shown)
      for (const one of shown) for (const warning of one.warnings) terminal.warning(warning)
      if (values.json) terminal.result(printJson(httpsJson(verb, shown, status === exitCodes.done)))
      else for (const one of shown) showPlace(terminal, verb, one)
      return status
    } finally {
      reach.connections.close()
    }
  },
})

interface Work {
  readonly verb: Verb
  readonly values: HttpsValues
  readonly surroundings: Surroundings
  readonly terminal: Terminal
  readonly parsed: Parsed<Flags>
  readonly reach: Reach
}

/** @throws CertError USAGE */
const readWords = ([word = '', ...names]: readonly string[]): [Verb, ...string[]] => {
  const verb = verbs.find((one) => one === word)
  if (verb !== undefined) return [verb, ...names]
  throw new CertError('USAGE', `acme-oss https does not know "${word}"`, { hint: `one of: ${verbs.join(', ')}` })
}

/** A flag that would do nothing was meant to do something. @throws CertError USAGE */
const requireFit = (verb: Verb, values: HttpsValues, names: readonly string[]): void => {
  const given = Object.entries(wishFlags).filter(([name, flag]) => {
    const unsaid = JSON.stringify(flag.read([], name))
    return JSON.stringify(values[name as keyof typeof wishFlags]) !== unsaid
  })
  const alone = [
    ...(verb === 'enforce' ? [] : given.map(([name]) => [name, 'enforce'] as const)),
    ...(values.live && verb !== 'status' ? [['live', 'status'] as const] : []),
    ...(values.force && verb !== 'restore' ? [['force', 'restore'] as const] : []),
  ][0]
  if (alone !== undefined) {
    throw new CertError('USAGE', `--${alone[0]} is for acme-oss https ${alone[1]}`, { hint: 'leave it out' })
  }
  const isNamed = names.length > 0 || values.all || isPlaceNamed(values)
  if (verb !== 'status' && !isNamed) {
    throw new CertError('USAGE', `acme-oss https ${verb} was not told where`, {
      hint: `name a certificate, or places such as --cdn-domain www.example.com; --all means all of them (acme-oss https status lists them)`,
    })
  }
}

const isPlaceNamed = (values: HttpsValues): boolean =>
  values.bucket !== undefined ||
  [values['oss-cname'], values['cdn-domain'], values['dcdn-domain']].some((list) => list.length > 0)

const placesOf = async (
  { verb, values, surroundings, reach }: Work,
  names: readonly string[],
): Promise<FoundPlaces> => {
  const found = await httpsPlaces({
    verb,
    values: targetValuesOf(values),
    names,
    all: values.all,
    config: once(() => openConfig(values, surroundings, true)),
    state: StateFolder.at(stateRoot(values, surroundings)),
    context: reach.context,
    signal: surroundings.signal,
  })
  if (found.places.length > 0 || found.lost.length > 0) return found
  throw new CertError('USAGE', 'there is no place to look at: no bucket, no CDN and no DCDN domain is known', {
    hint: 'name one, such as --bucket my-site --region cn-hangzhou or --cdn-domain www.example.com',
  })
}

const lostPlace = ({ name, error }: FoundPlaces['lost'][number]): ShownPlace => ({
  place: { name },
  status: 'failed',
  state: undefined,
  changes: [],
  warnings: [],
  error,
  relaxedSince: undefined,
  live: undefined,
})

const lookAtAll = (places: readonly HttpsPlace[], work: Work): Promise<ShownPlace[]> =>
  eachOf(places, placesAtOnce, async (place) => {
    const { values, surroundings } = work
    const warnings: string[] = []
    const relaxedSince = await relaxedAt(place, work, (what) => void warnings.push(what))
    try {
      const state = await place.read(surroundings.signal)
      const live = values.live ? await versionsAt(place, work) : undefined
      return {
        place,
        status: 'unchanged',
        state,
        changes: [],
        warnings: [...warnings, ...unreadWarnings(place, state)],
        error: undefined,
        relaxedSince,
        live,
      }
    } catch (error) {
      if (surroundings.signal.aborted) throw error
      return {
        place,
        status: 'failed',
        state: undefined,
        changes: [],
        warnings,
        error: toCertError(error),
        relaxedSince,
        live: undefined,
      }
    }
  })

const unreadWarnings = ({ name, kind }: HttpsPlace, { unread, parts, facts }: HttpsState): string[] => [
  ...Object.entries(unread).map(([part, error]) => `${part} of ${name} is not known: ${error.message}`),
  ...(kind === 'oss' && facts.plainHttp === null && typeof parts['policy'] === 'string'
    ? [`the policy of ${name} cannot be made sense of, so what becomes of plain HTTP is not known`]
    : []),
]

/** @param warn told why that is not known, unless whoever changed the place has said so already */
const relaxedAt = async (
  { identity }: HttpsPlace,
  { values, surroundings }: Work,
  warn?: (what: string) => void,
): Promise<string | undefined> => {
  const state = StateFolder.at(stateRoot(values, surroundings))
  try {
    return (await readHttpsRecord(state, identity))?.relaxedSince
  } catch (error) {
    warn?.(toCertError(error).message)
    return undefined
  }
}

const versionsAt = async (place: HttpsPlace, { values, surroundings }: Work): Promise<VersionsServed[]> => {
  const { signal } = surroundings
  const hosts = await place.hosts(signal)
  return await Promise.all(
    hosts.map((host) => versionsOf(host, { connect: values.connect, nameServer: values['dns-resolver'], signal })),
  )
}

const changeAll = async (
  places: readonly HttpsPlace[],
  verb: Exclude<Verb, 'status'>,
  work: Work,
): Promise<ShownPlace[]> => {
  const { values, surroundings, terminal } = work
  const wanted = await verbOf(verb, places, work)
  // Nothing of it is made on disk by a dry run.
  const state = values['dry-run']
    ? StateFolder.at(stateRoot(values, surroundings))
    : await openState(values, surroundings)
  const interlock = once(() => interlockOf(work))
  // What was begun and not carried through is gone on with, under its name.
  const begun =
    verb === 'restore'
      ? undefined
      : openChange(await recordsOf(places, StateFolder.at(stateRoot(values, surroundings))), verb)
  const change = begun ?? surroundings.now().toISOString()
  return await eachOf(places, placesAtOnce, async (place) => {
    const report = await changeOne(place, wanted, work, state, change, interlock).catch(
      (error: unknown): PlaceReport => {
        if (surroundings.signal.aborted) throw error
        return { status: 'failed', changes: [], state: undefined, warnings: [], error: toCertError(error) }
      },
    )
    const relaxedSince = await relaxedAt(place, work)
    terminal.stop(place.name)
    return { place, ...report, relaxedSince, live: undefined }
  })
}

const changeOne = async (
  place: HttpsPlace,
  verb: HttpsVerb,
  { values, surroundings, terminal }: Work,
  state: StateFolder | CertError,
  change: string,
  interlock: () => Promise<InterlockOptions>,
): Promise<PlaceReport> => {
  const warnings: string[] = []
  if (verb.verb === 'enforce') {
    if (!values['no-check']) warnings.push(...(await requireSafe(place, await interlock())))
    warnings.push(...(await place.hazards(surroundings.signal)))
  }
  terminal.start(place.name)
  const report = await changeHttps(place, verb, {
    state,
    change,
    patience: longestPatience,
    dryRun: values['dry-run'],
    now: surroundings.now,
    signal: surroundings.signal,
    onWait: (owner) => terminal.progress(`${place.name}: waiting for ${owner}, which is at work on it`),
    onChange: ({ does, status }) =>
      terminal.progress(
        `${does.includes(place.name) ? '' : `${place.name}: `}${does}${status === 'changed' ? '' : `: ${status}`}`,
      ),
  })
  return { ...report, warnings: [...warnings, ...report.warnings] }
}

/** One that is damaged says so at its place. */
const recordsOf = (places: readonly HttpsPlace[], state: StateFolder): Promise<(HttpsRecord | undefined)[]> =>
  Promise.all(places.map(({ identity }) => readHttpsRecord(state, identity).catch(() => undefined)))

/** @throws CertError USAGE */
const verbOf = async (
  verb: Exclude<Verb, 'status'>,
  places: readonly HttpsPlace[],
  { values, surroundings }: Work,
): Promise<HttpsVerb> => {
  if (verb === 'enforce') return { verb, wish: wishOf(values) }
  if (verb !== 'restore') return { verb }
  const state = StateFolder.at(stateRoot(values, surroundings))
  // Found out before anybody is waited for: what somebody else puts back meanwhile is not put back once more.
  const change = lastChange(await recordsOf(places, state))
  if (change !== undefined) return { verb, change, overwrites: values.force }
  throw new CertError(
    'USAGE',
    `nothing is saved of ${places.map(({ name }) => name).join(', ')}: acme-oss changed nothing there, or put it back already`,
    { hint: 'acme-oss https status shows what stands there now' },
  )
}

/** What is looked at before HTTPS is enforced anywhere. */
const interlockOf = async (work: Work): Promise<InterlockOptions> => {
  const { values, surroundings } = work
  const { now, signal } = surroundings
  const state = StateFolder.at(stateRoot(values, surroundings))
  return {
    looking: { connect: values.connect, nameServer: values['dns-resolver'], now, signal },
    provenByHttp: await provenByHttp(state, work),
    isOurs: async (sha256) => {
      for (const name of await deploymentNames(state)) {
        const { records } = await readDeployments(state, name)
        if (records.some(({ fingerprint }) => fingerprint.sha256 === sha256)) return true
      }
      return false
    },
  }
}

const provenByHttp = async (
  state: StateFolder,
  { values, surroundings, parsed, terminal }: Work,
): Promise<ProvenByHttp[]> => {
  const all = await renewables({
    config: await openConfig(values, surroundings, true),
    isUnreadable: false,
    isKept: false,
    signal: surroundings.signal,
    warn: (what) => terminal.warning(what),
    state,
    read: parsed.read,
  })
  const wanted = await Promise.all(
    all.map((one) =>
      one.wanted().catch((error: unknown) => {
        const why = toCertError(error).message
        terminal.warning(`whether ${one.name} is proven by plain HTTP is not known: ${why}`)
        return undefined
      }),
    ),
  )
  return wanted.flatMap((one) => {
    if (one?.issue.solver['challenge'] !== 'http-01') return []
    const { solver, challengeBucket } = one.issue.solver
    const bucket = solver === 'bucket' && typeof challengeBucket === 'string' ? challengeBucket : undefined
    return [{ name: one.name, names: one.names, bucket }]
  })
}

const statusOf = (shown: readonly ShownPlace[]): number => {
  const failed = shown.filter(({ status }) => status === 'failed')
  if (failed.length === 0) return exitCodes.done
  // Nothing was touched where all that was asked for cannot be.
  const isRefused = failed.length === shown.length && failed.every(({ error }) => error?.code === 'USAGE')
  if (isRefused) return exitCodes.refused
  const isPartly =
    failed.length < shown.length || failed.some(({ changes }) => changes.some((one) => one.status === 'changed'))
  return isPartly ? exitCodes.partly : exitCodes.failed
}
