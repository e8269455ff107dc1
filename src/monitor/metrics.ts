import { type DeploymentRecord, isOrWasWanted, pendingOf } from '../state/deployment-record.js'
import type { RelaxedPlace } from '../state/https-record.js'
import { isLookedAfter } from './name-facts.js'
import type { NameStanding } from './name-standing.js'
import type { PlaceStanding, TargetStanding } from './standing.js'

/** In the order in which they are written. All of them are gauges. */
const families = {
  acme_oss_names: 'Names that anything is on record of.',
  acme_oss_certificate_not_before_timestamp_seconds: 'Since when the newest certificate of a name is valid.',
  acme_oss_certificate_expiry_timestamp_seconds: 'Until when the newest certificate of a name is valid.',
  acme_oss_deployed_not_before_timestamp_seconds: 'Since when the certificate that was put on a target is valid.',
  acme_oss_deployed_expiry_timestamp_seconds: 'Until when the certificate that was put on a target is valid.',
  acme_oss_served_not_before_timestamp_seconds: 'Since when the certificate that a host serves is valid (--live).',
  acme_oss_served_expiry_timestamp_seconds: 'Until when the certificate that a host serves is valid (--live).',
  acme_oss_pending_steps: 'Steps of a name that are still to be done.',
  acme_oss_step_last_error: 'A step that failed and is tried again, with the code of its last error.',
  acme_oss_renewal_timestamp_seconds: 'When the certificate of a name is to be renewed.',
  acme_oss_renewal_due: 'Whether the certificate of a name is to be renewed now.',
  acme_oss_renewal_last_error: 'A renewal that failed, with the code of its last error.',
  acme_oss_concerns: 'Things that a person should know of.',
  acme_oss_https_relaxed: 'A place where HTTPS is not enforced for now.',
  acme_oss_last_run_timestamp_seconds: 'When acme-oss renew last looked after everything.',
} as const

type Family = keyof typeof families
type Labels = Readonly<Record<string, string>>

/** What is known, in the text format of Prometheus; held as text, so that thousands of names take little room. */
export class Metrics {
  /** By their labels: two series of the same labels would have all of it refused. */
  readonly #samples = new Map<Family, Map<string, number>>()
  #names = 0

  add({ facts, newest, concerns, entries }: NameStanding, now: Date): void {
    const { name, records, failedRenewal, renewal } = facts
    this.#names += 1
    if (newest !== undefined) {
      this.#date('acme_oss_certificate_not_before_timestamp_seconds', { name }, newest.notBefore)
      this.#date('acme_oss_certificate_expiry_timestamp_seconds', { name }, newest.notAfter)
    }
    const [first] = entries
    for (const { target, dates } of deployedOn(records, first?.targets ?? new Map())) {
      this.#date('acme_oss_deployed_not_before_timestamp_seconds', { name, target }, dates.notBefore)
      this.#date('acme_oss_deployed_expiry_timestamp_seconds', { name, target }, dates.notAfter)
    }
    for (const { served } of first?.targets.values() ?? []) {
      for (const { host, addresses } of served ?? []) {
        const dates = oldest(addresses.flatMap((one) => one.certificate ?? []))
        if (dates === undefined) continue
        this.#date('acme_oss_served_not_before_timestamp_seconds', { name, host }, dates.notBefore)
        this.#date('acme_oss_served_expiry_timestamp_seconds', { name, host }, dates.notAfter)
      }
    }
    const pending = records.flatMap(pendingOf)
    this.#set('acme_oss_pending_steps', { name }, pending.length)
    for (const { target = '', step = '', error } of pending) {
      if (error !== undefined) this.#set('acme_oss_step_last_error', { name, target, step, code: error.code }, 1)
    }
    if (renewal !== undefined) this.#date('acme_oss_renewal_timestamp_seconds', { name }, renewal)
    if (isLookedAfter(facts)) {
      this.#set('acme_oss_renewal_due', { name }, isRenewalDue(facts, now) ? 1 : 0)
      if (failedRenewal !== undefined) {
        this.#set('acme_oss_renewal_last_error', { name, code: failedRenewal.error.code }, 1)
      }
    }
    for (const { kind } of concerns) this.#count('acme_oss_concerns', { name, kind })
  }

  /** What is about no name. */
  addOthers(relaxed: readonly RelaxedPlace[], lastRun: Date | undefined): void {
    for (const { name } of relaxed) this.#set('acme_oss_https_relaxed', { place: name }, 1)
    if (lastRun !== undefined) this.#date('acme_oss_last_run_timestamp_seconds', {}, lastRun)
  }

  /** With a line break at its end; the same series are in the same order each time. */
  text(): string {
    this.#set('acme_oss_names', {}, this.#names)
    return (Object.keys(families) as Family[])
      .flatMap((family) => {
        const samples = [...(this.#samples.get(family) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))
        if (samples.length === 0) return []
        const head = [`# HELP ${family} ${families[family]}`, `# TYPE ${family} gauge`]
        return [...head, ...samples.map(([labels, value]) => `${family}${labels} ${value}`)]
      })
      .map((line) => `${line}\n`)
      .join('')
  }

  #date(family: Family, labels: Labels, at: Date): void {
    if (isDate(at)) this.#set(family, labels, at.getTime() / 1000)
  }

  #set(family: Family, labels: Labels, value: number): void {
    const samples = this.#samples.get(family) ?? new Map<string, number>()
    samples.set(labelled(labels), value)
    this.#samples.set(family, samples)
  }

  #count(family: Family, labels: Labels): void {
    this.#set(family, labels, (this.#samples.get(family)?.get(labelled(labels)) ?? 0) + 1)
  }
}

const labelled = (labels: Labels): string => {
  const all = Object.entries(labels).map(([label, value]) => `${label}="${escaped(value)}"`)
  return all.length === 0 ? '' : `{${all.join(',')}}`
}

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' }

const escaped = (value: string): string => value.replace(/[\\"\n]/g, (one) => escapes[one] ?? one)

/** Is there anything to be ordered, as far as that can be told by what is on record? */
export const isRenewalDue = ({ certificate, renewal }: NameStanding['facts'], now: Date): boolean =>
  renewal === undefined || certificate?.current?.revokedAt !== undefined || renewal <= now

interface Dates {
  readonly notBefore: Date
  readonly notAfter: Date
}

/** What hangs on the oldest of several places is what breaks first. */
const oldest = (all: readonly Dates[]): Dates | undefined =>
  all.reduce<Dates | undefined>((first, one) => (first && first.notAfter <= one.notAfter ? first : one), undefined)

/** What each target holds: as it was found, or, where that is not known, the newest that all was done for. */
const deployedOn = (
  records: readonly DeploymentRecord[],
  found: ReadonlyMap<string, TargetStanding>,
): { readonly target: string; readonly dates: Dates }[] => {
  const targets = new Map(
    records.flatMap((record) =>
      Object.entries(record.targets).flatMap(([identity, target]) =>
        isOrWasWanted(target) ? [[identity, target.name] as const] : [],
      ),
    ),
  )
  return [...targets].flatMap(([identity, target]) => {
    const there = found.get(identity)?.there
    const dates = there?.status === 'known' ? oldest(there.places.flatMap(datesOf)) : datesDone(records, identity)
    return dates === undefined ? [] : [{ target, dates }]
  })
}

/** A place may tell dates that are none. */
const datesOf = ({ certificate }: PlaceStanding): Dates[] => {
  const { notBefore, notAfter } = certificate ?? {}
  return isDate(notBefore) && isDate(notAfter) ? [{ notBefore, notAfter }] : []
}

const isDate = (at: Date | undefined): at is Date => at !== undefined && Number.isFinite(at.getTime())

const datesDone = (records: readonly DeploymentRecord[], identity: string): Dates | undefined => {
  const whole = records.find(({ targets }) => {
    const steps = Object.values(targets[identity]?.steps ?? {})
    return steps.length > 0 && steps.every(({ status }) => status === 'done')
  })
  return whole && { notBefore: new Date(whole.notBefore), notAfter: new Date(whole.notAfter) }
}
