import { type CertificateConfig, type Config, findCertificate } from '../config/config.js'
import { CertError } from '../errors.js'
import { orderNames } from '../issuer/order-names.js'
import type { Wanted } from '../pipeline/due.js'
import { type CertificateRecord, CertificateStore, certificateNames } from '../state/certificates.js'
import type { StateFolder } from '../state/state-folder.js'
import type { Parsed } from './command.js'
import type { Flags } from './flag.js'
import { issueLayer } from './issue-layer.js'
import { issuerFlags, issueSettings } from './issuer-flags.js'
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
  const names = certificateNames(state).filter((name) => !configured.has(name) && !isStandby(name))
  return [...configured.values(), ...names.map((name) => ofRecord(name, options))]
}

const ofEntry = (entry: CertificateConfig, { config, read }: RenewableOptions): Renewable => ({
  name: entry.name,
  wanted: async () => {
    // A variable may say how to issue, never for which names.
    const { domain: _domain, ...flags } = issuerFlags
    const values = read(flags, issueLayer(config, { name: entry.name, domain: [] }))
    const names = orderNames(entry.domains)
    const issue = issueSettings({ ...values, domain: names }, names, config?.account.eab)
    return { name: entry.name, names, issue, configured: true }
  },
  remembered: async () => undefined,
})

const ofRecord = (name: string, { config, state, isUnreadable }: RenewableOptions): Renewable => {
  let reading: Promise<CertificateRecord | undefined> | undefined
  const record = () => {
    reading ??= new CertificateStore(state, name).read()
    return reading
  }
  return {
    name,
    wanted: async () => {
      const known = await record()
      if (known === undefined) {
        if (await new CertificateStore(state, name).isThere()) throw damaged(name, state)
        return undefined
      }
      // What was taken out of the configuration is not renewed; where that cannot be read, nobody knows.
      if (known.forgotten || (known.configured && !isUnreadable)) return undefined
      return { name: known.name, names: known.names, issue: known.issue, configured: known.configured }
    },
    remembered: async () => {
      const known = await record()
      const entry = config && known && findCertificate(config, known.name, known.names)
      return entry !== undefined && entry.deploy.length > 0 ? undefined : known?.deploy
    },
  }
}

const damaged = (name: string, state: StateFolder): CertError =>
  new CertError('STATE_UNUSABLE', `what was remembered of ${name} is damaged (${state.path('certificates', name)})`, {
    hint: `issue it once more with acme-oss issue-and-deploy; or remove that folder, if it is not wanted any more`,
  })

const standbyEnd = '~standby'

const isStandby = (name: string): boolean => name.endsWith(standbyEnd)

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
    name: `${name}${standbyEnd}`,
    names,
    issue: { ...rest, ca: [standby], reuseKey: false },
    deploy: asked
      .filter(({ kind }) => layouts.has(kind))
      .map(({ kind, settings }) => ({ kind, settings: { ...settings, 'archive-only': true } })),
  }
}
