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
    const { settings, faults } = await settingsFor(run)
    if (settings === undefined) return
    const { state, ...found } = await observed(run, settings, faults)
    const addressees = await Promise.all(settings.to.map(addresseeOf))
    for (const { address } of addressees) if (address instanceof CertError) warn(address)
    const sending = { connections, now, signal }
    if (addressees.length > 0)
      await tellAll({ ...found, state, addressees, sending, warn, environment: surroundings.environment })
    if (settings.ping !== undefined && isWell(run, found.alerts)) {
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

/** What a configuration with a fault in it says of alerts counts all the same: they are to tell of that fault. */
const settingsFor = async ({
  values,
  surroundings,
  typed,
}: AlertedRun): Promise<{ readonly settings: AlertsConfig | undefined; readonly faults: readonly Alert[] }> => {
  try {
    const state = StateFolder.at(stateRoot(values, surroundings))
    const config = await openConfig(values, surroundings, typed, state)
    return { settings: alertSettings(config?.alerts, surroundings.environment), faults: [] }
  } catch (thrown) {
    const { message, hint } = toCertError(thrown)
    const path = await configPath(values, surroundings, typed).catch(() => undefined)
    const salvaged = path === undefined ? undefined : await salvageAlerts(path)
    const fault = concern('damaged', 'the configuration', [], undefined, message, hint)
    return { settings: alertSettings(salvaged, surroundings.environment), faults: [fault] }
  }
}

/** What is on record, and what became of the run itself. */
const observed = async (
  { values, surroundings, called, end }: AlertedRun,
  { expiryDays }: AlertsConfig,
  faults: readonly Alert[],
): Promise<Found & { readonly state: StateFolder | undefined }> => {
  const own = runConcern(called, end)
  const isOfRun = (id: string): boolean => id.startsWith('["damaged","acme-oss ')
  const ofRun = own === undefined ? [] : [own]
  const isOwn = (id: string): boolean => id === runId(called)
  try {
    const state = await StateFolder.open(stateRoot(values, surroundings))
    const alerts = await currentAlerts(state, expiryDays, surroundings.now())
    // Of what another command died of, only that command can say that it is over.
    return { state, alerts: [...alerts, ...faults, ...ofRun], judges: (id) => !isOfRun(id) || isOwn(id) }
  } catch (thrown) {
    const { message, hint } = toCertError(thrown)
    const fault = concern('damaged', 'the state folder', [], undefined, message, hint)
    const alerts = [fault, ...faults]
    // Nobody knows how things are.
    return { state: undefined, alerts, judges: (id) => alerts.some((one) => one.id === id) || isOwn(id) }
  }
}

const runId = (called: string): string => concern('damaged', `acme-oss ${called}`, [], undefined, '', undefined).id

// What comes of somebody breaking off, or of two who want the same, and what is told of by itself.
const toldOtherwise: readonly CertError['code'][] = ['INTERRUPTED', 'LOCKED', 'CONFIG_INVALID']

const runConcern = (called: string, end: AlertedRun['end']): Alert | undefined => {
  if (!('error' in end)) return undefined
  const { code, message, hint } = toCertError(end.error)
  if (toldOtherwise.includes(code)) return undefined
  return concern('damaged', `acme-oss ${called}`, [], undefined, `acme-oss ${called} failed: ${message}`, hint)
}

interface Telling extends Found {
  readonly state: StateFolder | undefined
  readonly addressees: readonly Addressee[]
  readonly sending: SendOptions
  readonly warn: (error: CertError) => void
  readonly environment: Readonly<Record<string, string | undefined>>
}

const tellAll = async (telling: Telling): Promise<void> => {
  const { state, addressees, sending, environment } = telling
  const { now, signal } = sending
  const keys = addressees.map(({ key }) => key)
  let isTold = false
  try {
    if (state === undefined) throw new CertError('STATE_UNUSABLE', 'nothing is remembered')
    const before = await readAlertMemory(state)
    if (isSameMemory(before, await told(before, telling, true))) return
    await withLock(state, 'tell alerts', { signal }, async () => {
      // Another run may have told of it meanwhile.
      const after = await told(await readAlertMemory(state), telling, false)
      isTold = true
      await writeAlertMemory(state, after, keys, now())
    })
  } catch (error) {
    if (isTold || toCertError(error).code !== 'STATE_UNUSABLE') throw error
    if (isTimeWithoutMemory(environment, now())) await told(noMemory, telling, false)
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

/** All that is known of is known to whoever let HTTP in. */
const isWell = ({ command, end }: AlertedRun, alerts: readonly Alert[]): boolean =>
  ['renew', 'sync'].includes(command) &&
  'status' in end &&
  end.status === exitCodes.done &&
  alerts.every(({ kind }) => kind === 'relaxed')
