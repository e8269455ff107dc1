import { hostname } from 'node:os'
import type { AlertsConfig } from '../config/alerts.js'
import { salvageAlerts } from '../config/load.js'
import { CertError, toCertError } from '../errors.js'
import { HttpConnections } from '../http-connections.js'
import { type AlertMemory, isSameMemory, noMemory, readAlertMemory, writeAlertMemory } from '../monitor/alert-memory.js'
import { type Alert, afterTelling, isNews, newsFor, type Observation, seenSince } from '../monitor/alerts.js'
import { concern } from '../monitor/concerns.js'
import { currentAlerts } from '../monitor/current-alerts.js'
import { receivers } from '../monitor/receivers/index.js'
import { ping, type SendOptions, sendAlert } from '../monitor/send-alert.js'
import { keepLastAlerts, lastAlerts } from '../state/last-alerts.js'
import { withLock } from '../state/lock.js'
import { StateFolder } from '../state/state-folder.js'
import { type Addressee, addresseeOf, alertSettings, pingPlaceOf } from './alert-settings.js'
import { exitCodes, type Surroundings } from './command.js'
import { type Common, stateRoot } from './common-flags.js'
import { Terminal, wantsColor } from './terminal.js'
import { configPath, openConfig } from './wanted-targets.js'

/** How a run ended. */
export type RunEnd = { readonly status: number } | { readonly error: unknown }

export interface AlertedRun {
  readonly command: string
  /** What an alert calls it, if it dies: `hook certbot`. */
  readonly called: string
  /** What a hook was handed over, by name; undefined where it is about no one certificate, or that cannot be made out. */
  readonly of: readonly string[] | undefined
  readonly values: Common
  readonly surroundings: Surroundings
  /** By a person, who sees what goes wrong, and may have a configuration in the current folder. */
  readonly typed: boolean
  readonly end: RunEnd
}

/** Tells those who want to know what is news to them. Whatever fails here is a warning: the run has been what it was. */
export const tellAlerts = async (run: AlertedRun): Promise<void> => {
  const { values, surroundings } = run
  const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
  const connections = new HttpConnections()
  const { now, signal } = surroundings
  const warn = (error: CertError): void => terminal.warning(`${error.message}${error.hint ? ` (${error.hint})` : ''}`)
  try {
    const { settings, faults } = await settingsFor(run, warn)
    if (settings === undefined) return
    const { state, ...found } = await observed(run, settings, faults)
    const addressees = await Promise.all(settings.to.map(addresseeOf))
    for (const { address } of addressees) if (address instanceof CertError) warn(address)
    const sending = { connections, now, signal }
    // Also without anybody to tell it to: whether all is well depends on what became of other runs.
    const { seen } = await tellAll({
      ...found,
      state,
      addressees,
      sending,
      warn,
      environment: surroundings.environment,
    })
    if (settings.ping !== undefined && isWell(run, found.alerts, seen)) {
      const { host, url } = await pingPlaceOf(settings.ping)
      if (url instanceof CertError) throw url
      await ping(url, `ping at ${host}`, sending)
    }
  } catch (error) {
    warn(toCertError(error))
  } finally {
    connections.close()
  }
}

interface Found {
  readonly alerts: readonly Alert[]
  readonly judges: Observation['judges']
}

/**
 * What a configuration with a fault in it says of alerts counts all the same, or else what it said before the fault: they
 * are to tell of it.
 */
const settingsFor = async (
  { values, surroundings, typed, end }: AlertedRun,
  warn: (error: CertError) => void,
): Promise<{ readonly settings: AlertsConfig | undefined; readonly faults: readonly Alert[] }> => {
  const stateFolder = (): StateFolder => StateFolder.at(stateRoot(values, surroundings))
  try {
    const state = stateFolder()
    const config = await openConfig(values, surroundings, typed, state)
    if (config !== undefined) await keepLastAlerts(state, config.path, config.alerts)
    return { settings: alertSettings(config?.alerts, surroundings.environment), faults: [] }
  } catch (thrown) {
    const error = toCertError(thrown)
    const { message, hint } = error
    const path = await configPath(values, surroundings, typed).catch(() => undefined)
    const salvaged =
      path === undefined ? undefined : ((await salvageAlerts(path)) ?? (await lastAlerts(stateFolder, path)))
    const settings = alertSettings(salvaged, surroundings.environment)
    const isSaid = 'error' in end && toCertError(end.error).message === message
    if (!isSaid) warn(error)
    if (settings === undefined)
      warn(new CertError('CONFIG_INVALID', 'nobody is told of it: who, that file does not say'))
    const fault = concern('damaged', 'the configuration', [], undefined, message, hint)
    return { settings, faults: [fault] }
  }
}

/** What is on record, and what became of the run itself. */
const observed = async (
  run: AlertedRun,
  { expiryDays }: AlertsConfig,
  faults: readonly Alert[],
): Promise<Found & { readonly state: StateFolder | undefined }> => {
  const { values, surroundings } = run
  const own = runConcern(run)
  const judged = judgedRuns(run)
  const isOfRun = (id: string): boolean => id.startsWith('["damaged","acme-oss ')
  const ofRun = own === undefined ? [] : [own]
  const isOwn = (id: string): boolean => judged.includes(id)
  try {
    const state = await StateFolder.open(stateRoot(values, surroundings))
    const alerts = await currentAlerts(state, expiryDays, surroundings.now())
    // Of what another run died of, only one of the same command and about the same can say that it is over.
    return { state, alerts: [...alerts, ...faults, ...ofRun], judges: (id) => !isOfRun(id) || isOwn(id) }
  } catch (thrown) {
    const { message, hint } = toCertError(thrown)
    const fault = concern('damaged', 'the state folder', [], undefined, message, hint)
    const alerts = [fault, ...faults]
    // Nobody knows how things are.
    return { state: undefined, alerts, judges: (id) => alerts.some((one) => one.id === id) || isOwn(id) }
  }
}

const runId = (called: string, of: readonly string[]): string =>
  concern('damaged', `acme-oss ${called}`, of, undefined, '', undefined).id

/** A hook that was called for another reason says nothing of any; one that was handed something, that it is called rightly. */
const judgedRuns = ({ called, of }: AlertedRun): readonly string[] =>
  of === undefined ? [runId(called, [])] : of.length === 0 ? [] : [runId(called, of), runId(called, [])]

// What comes of somebody breaking off, or of two who want the same, and what is told of by itself.
const toldOtherwise: readonly CertError['code'][] = ['INTERRUPTED', 'LOCKED', 'CONFIG_INVALID']

const runConcern = ({ called, of = [], end }: AlertedRun): Alert | undefined => {
  if (!('error' in end)) return undefined
  const { code, message, hint } = toCertError(end.error)
  if (toldOtherwise.includes(code)) return undefined
  const what = of.length === 0 ? `acme-oss ${called}` : `acme-oss ${called} (${of.join(', ')})`
  return concern('damaged', `acme-oss ${called}`, of, undefined, `${what} failed: ${message}`, hint)
}

interface Telling extends Found {
  readonly state: StateFolder | undefined
  readonly addressees: readonly Addressee[]
  readonly sending: SendOptions
  readonly warn: (error: CertError) => void
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** @returns what is remembered from now on */
const tellAll = async (telling: Telling): Promise<AlertMemory> => {
  const { state, addressees, sending, environment } = telling
  const { now, signal } = sending
  const keys = addressees.map(({ key }) => key)
  let isTold = false
  try {
    if (state === undefined) throw new CertError('STATE_UNUSABLE', 'nothing is remembered')
    const before = await readAlertMemory(state)
    if (isSameMemory(before, await told(before, telling, true))) return before
    return await withLock(state, 'tell alerts', { signal }, async () => {
      // Another run may have told of it meanwhile.
      const after = await told(await readAlertMemory(state), telling, false)
      isTold = true
      await writeAlertMemory(state, after, keys, now())
      return after
    })
  } catch (error) {
    if (isTold || toCertError(error).code !== 'STATE_UNUSABLE') throw error
    return isTimeWithoutMemory(environment, now()) ? await told(noMemory, telling, false) : noMemory
  }
}

/**
 * Where what was said cannot be written down, it is said in every run, but for those of the timer: of these, in the ones
 * of the first quarter of an hour.
 */
export const isTimeWithoutMemory = (environment: Telling['environment'], now: Date): boolean =>
  environment['INVOCATION_ID'] === undefined || now.getUTCMinutes() < 15

/** What is known once everybody has been told what is news to them. @param isTrial nobody is told, to see whether anybody would be */
const told = async (
  memory: AlertMemory,
  { alerts, judges, addressees, sending, warn }: Telling,
  isTrial: boolean,
): Promise<AlertMemory> => {
  const now = sending.now()
  const seen = seenSince(memory.seen, alerts, judges, now)
  const observation = { alerts, seen, judges, now }
  const tell = async ({ address, kind, key, called }: Addressee) => {
    const before = memory.told.get(key) ?? new Map()
    const news = newsFor(before, observation)
    if (address instanceof CertError) return [key, before] as const
    const after = afterTelling(before, news, observation)
    if (isTrial || !isNews(news)) return [key, after] as const
    try {
      const message = { ...news, host: hostname(), at: now, isTest: false }
      await sendAlert(receivers[kind], message, address, called, sending)
      return [key, after] as const
    } catch (error) {
      warn(toCertError(error))
      return [key, before] as const
    }
  }
  return { seen, told: new Map([...memory.told, ...(await Promise.all(addressees.map(tell)))]) }
}

// What a run died of that never came again is asked for by nobody: its certificate may be gone for long. In ms.
const longestDead = 90 * 24 * 60 * 60_000

/** All that `relaxed` is about is known to whoever let HTTP in. What another run died of is not over because this one went well. */
const isWell = (
  { command, end, surroundings }: AlertedRun,
  alerts: readonly Alert[],
  seen: AlertMemory['seen'],
): boolean =>
  ['renew', 'sync'].includes(command) &&
  'status' in end &&
  end.status === exitCodes.done &&
  alerts.every(({ kind }) => kind === 'relaxed') &&
  [...seen].every(
    ([id, since]) =>
      alerts.some((one) => one.id === id) || surroundings.now().getTime() - Date.parse(since) > longestDead,
  )
