import { type CertificateConfig, type Config, findCertificate } from '../config/config.js'
import { CertError } from '../errors.js'
import { orderNames } from '../issuer/order-names.js'
import type { Wanted } from '../pipeline/due.js'
import { isStandby, standbyEnd, standbyName } from '../standby-name.js'
import { type CertificateRecord, CertificateStore, certificateNames } from '../state/certificates.js'
import { withLock } from '../state/lock.js'
import type { StateFolder } from '../state/state-folder.js'
import type { Parsed } from './command.js'
import type { Flags } from './flag.js'
import { issueLayer } from './issue-layer.js'
import { issuerFlags, issueSettings } from './issuer-flags.js'
import { once } from './once.js'
import type { AskedTarget } from './target-flags.js'

/** One certificate that `renew` looks after. */
export interface Renewable {
  readonly name: string
  /**
   * Without its targets, which are found out only for those that are due. Undefined where it is not to be renewed any
   * more. @throws CertError
   */
  wanted(): Promise<Omit<Wanted, 'deploy'> | undefined>
  /** What was remembered of where it goes; undefined where the configuration says. */
  remembered(): Promise<readonly AskedTarget[] | undefined>
}

export interface RenewableOptions {
  readonly config: Config | undefined
  /** There is a configuration that cannot be read: what is remembered of it has to do. */
  readonly isUnreadable: boolean
  /** Is what was taken out of the configuration, or put back, written down? */
  readonly isKept: boolean
  readonly signal: AbortSignal
  readonly warn: (what: string) => void
  readonly state: StateFolder
  readonly read: Parsed<Flags>['read']
}

/**
 * Every certificate that we issue: what the configuration says is to be issued, and what was issued by hand.
 * @throws CertError STATE_UNUSABLE
 */
export const renewables = async (options: RenewableOptions): Promise<Renewable[]> => {
  const { config, state } = options
  const entries = (config?.certificates ?? []).filter(({ issue, domains }) => issue !== undefined && domains.length > 0)
  const configured = new Map(entries.map((entry) => [entry.name, ofEntry(entry, options)]))
  // A long name is shortened on disk.
  const paths = new Set(entries.map(({ name }) => state.path(name)))
  const others = certificateNames(state).filter((name) => !paths.has(state.path(name)) && !isStandby(name))
  const known = others.map((name) => ({ name, record: once(() => new CertificateStore(state, name).read()) }))
  const isLost = !options.isUnreadable && (await isConfigLost(config, known))
  if (isLost) {
    const what =
      config === undefined ? 'there is no configuration any more' : `${config.path} holds no certificates any more`
    options.warn(
      `${what}: what is remembered of it has to do (acme-oss forget NAME ends the renewal of one that is not wanted any more)`,
    )
  }
  const isRemembered = options.isUnreadable || isLost
  return [...configured.values(), ...known.map((one) => ofRecord(one, isRemembered, options))]
}

/** A certificate that no entry of the configuration is about, as it was remembered; read once. */
interface Known {
  readonly name: string
  readonly record: () => Promise<CertificateRecord | undefined>
}

const isFromConfig = (record: CertificateRecord | undefined): boolean =>
  record?.configured === true && record.forgotten !== true

/**
 * Is there nothing left of what was in it? A file that was emptied, or has gone, is more often a mishap than what somebody
 * wanted, and would let all of them expire.
 */
const isConfigLost = async (config: Config | undefined, known: readonly Known[]): Promise<boolean> => {
  if (config !== undefined && config.certificates.length > 0) return false
  for (const { record } of known) {
    // One that cannot be read says so in its turn.
    if (isFromConfig(await record().catch(() => undefined))) return true
  }
  return false
}

const ofEntry = (entry: CertificateConfig, options: RenewableOptions): Renewable => ({
  name: entry.name,
  wanted: async () => {
    const { config, read } = options
    // A variable may say how to issue, never for which names.
    const { domain: _domain, ...flags } = issuerFlags
    const values = read(flags, issueLayer(config, { name: entry.name, domain: [] }))
    const names = orderNames(entry.domains)
    const issue = issueSettings({ ...values, domain: names }, names, config?.account.eab)
    await remember(entry.name, options)
    return { name: entry.name, names, issue, configured: true }
  },
  remembered: async () => undefined,
})

/** An entry that was put back is renewed again, also where the configuration cannot be read by then. */
const remember = async (name: string, { state, signal, isKept }: RenewableOptions): Promise<void> => {
  const store = new CertificateStore(state, name)
  if (!isKept || (await store.read())?.forgotten !== true) return
  await withLock(state, lockOf(name), { signal }, async () => {
    const record = await store.read()
    if (record?.forgotten !== true) return
    const { current } = record
    // Without its key it can be deployed nowhere: another one is to be ordered.
    const isWhole = current !== undefined && (await store.readMaterial(current)) !== undefined
    const { forgotten: _forgotten, ...rest } = record
    await store.keepRecord({ ...rest, configured: true, current: isWhole ? current : undefined })
  })
}

const ofRecord = ({ name, record }: Known, isRemembered: boolean, options: RenewableOptions): Renewable => {
  const { config, state } = options
  return {
    name,
    wanted: async () => {
      const known = await record()
      if (known === undefined) {
        if (await new CertificateStore(state, name).isThere()) throw damaged(name, state)
        return undefined
      }
      if (known.forgotten) return undefined
      // What was taken out of the configuration is not renewed; where that cannot be read, nobody knows.
      if (known.configured && !isRemembered) {
        await takenOut(known.name, options)
        return undefined
      }
      return { name: known.name, names: known.names, issue: known.issue, configured: known.configured }
    },
    remembered: async () => {
      const known = await record()
      const entry = config && known && findCertificate(config, known.name, known.names)
      return entry !== undefined && entry.deploy.length > 0 ? undefined : known?.deploy
    },
  }
}

/** Written down at once, or a configuration that cannot be read would bring it back later. */
const takenOut = async (name: string, { state, signal, isKept }: RenewableOptions): Promise<void> => {
  if (!isKept) return
  const store = new CertificateStore(state, name)
  await withLock(state, lockOf(name), { signal }, async () => {
    // Somebody may have issued it by hand meanwhile.
    if (isFromConfig(await store.read())) await store.forget(undefined)
  })
}

const lockOf = (name: string): string => `issue ${name}`

const damaged = (name: string, state: StateFolder): CertError =>
  new CertError('STATE_UNUSABLE', `what was remembered of ${name} is damaged (${state.path('certificates', name)})`, {
    hint: `issue it once more with acme-oss issue-and-deploy; or remove that folder, if it is not wanted any more`,
  })

/** The name that a certificate stands by for, or its own. */
export const ownName = (name: string): string => (isStandby(name) ? name.slice(0, -standbyEnd.length) : name)

/** What only says something of a layout, of which nothing but the archive is written. */
const layouts = new Set(['oss', 'directory'])

/**
 * The certificate of a second CA that is to be kept ready; undefined where none is wanted. It lies in the archive and
 * nowhere else.
 */
export const standbyOf = (
  { name, names, issue }: Omit<Wanted, 'deploy'>,
  asked: readonly AskedTarget[],
): Wanted | undefined => {
  const { standby, ...rest } = issue
  if (standby === undefined) return undefined
  return {
    name: standbyName(name),
    names,
    issue: { ...rest, ca: [standby], reuseKey: false },
    deploy: asked
      .filter(({ kind }) => layouts.has(kind))
      .map(({ kind, settings }) => ({ kind, settings: { ...settings, 'archive-only': true } })),
  }
}
