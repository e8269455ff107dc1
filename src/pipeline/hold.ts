import { archiveName, type CertificateBundle } from '../certificate/bundle.js'
import type { CertError } from '../errors.js'
import { lastAskedFor, pendingOf } from '../state/deployment-record.js'
import { adoptHold, readDeployments } from '../state/deployments.js'
import { type Hold, lookAtHold } from '../state/hold.js'
import type { StateFolder } from '../state/state-folder.js'
import type { DeployTarget } from '../targets/target.js'

/**
 * What a deployment does about a hold on its name: heeds it, where nothing else is said; ends it, since a person asked
 * for this very certificate; or sets one of its own, given what was held before.
 */
export type HoldRule = 'end' | ((before: Hold | undefined) => Promise<Hold>)

export interface SettledHold {
  /** The certificate is one that was rolled back from, or one that `sync` is to bring where it was rolled back to. */
  readonly isKeptBack: boolean
  /** Is the name held from now on? */
  readonly isHeld: boolean
  /** The hold that is to be in force once it is on record what is wanted. */
  readonly keeps: Hold | undefined
  /** From then on the one that there is holds no more. */
  readonly isEnded: boolean
  readonly warnings: readonly string[]
}

const free: SettledHold = { isKeptBack: false, isHeld: false, keeps: undefined, isEnded: false, warnings: [] }

const keptBack = (warning: string): SettledHold => ({ ...free, isKeptBack: true, isHeld: true, warnings: [warning] })

/**
 * Sees what a hold says of a certificate that is about to be deployed; a different one ends it. Only for whoever holds
 * the lock of the name.
 * @throws CertError STATE_UNUSABLE
 */
export const settleHold = async (
  state: StateFolder,
  bundle: CertificateBundle,
  { rule, targets }: { readonly rule: HoldRule | undefined; readonly targets: readonly DeployTarget[] },
): Promise<SettledHold> => {
  await adoptHold(state, bundle.name)
  const { hold, damage } = lookAtHold(state, bundle.name)
  if (typeof rule === 'function') return { ...free, isHeld: true, keeps: await rule(hold) }
  if (damage !== undefined) return await settleDamaged(state, bundle, rule, damage)
  if (hold === undefined) return free
  const { sha256 } = bundle.fingerprint
  const isAway = hold.away.includes(sha256)
  if (isAway && rule !== 'end') return keptBack(staysAway(bundle, hold))
  // Handed over again, it would give way to what it was rolled back from wherever that still stands.
  if (sha256 === hold.sha256 && rule !== 'end' && (await isUnderWay(state, bundle))) return keptBack(underWay(bundle))
  // One that is older than what is held does not take its place unless that is insisted on, and must not make room for
  // what was rolled back from.
  const isInsisted = targets.some(({ settings }) => settings['allow-older'] === true)
  if (sha256 === hold.sha256 || (!isAway && isOlder(bundle, hold) && !isInsisted)) return { ...free, isHeld: true }
  const ended = `${bundle.name} was rolled back from this certificate on ${dayOf(hold)}; that is over, since it was asked for`
  return { ...free, isEnded: true, warnings: isAway ? [ended] : [] }
}

/**
 * Of what it was rolled back from nothing is known but that it had been asked for before what it was rolled back to. A
 * certificate that was issued since then is to be served.
 */
const settleDamaged = async (
  state: StateFolder,
  { name, fingerprint }: CertificateBundle,
  rule: 'end' | undefined,
  { message, hint }: CertError,
): Promise<SettledHold> => {
  const { records } = await readDeployments(state, name)
  const isThis = (sha256: string | undefined): boolean => sha256 === fingerprint.sha256
  if (rule === 'end' || !records.some((one) => isThis(one.fingerprint.sha256))) {
    return { ...free, isEnded: true, warnings: [`${message}; that is over, since a different certificate came`] }
  }
  // It may be the one that is held.
  if (isThis(lastAskedFor(records)?.fingerprint.sha256)) return { ...free, warnings: [message] }
  return keptBack(`${message}: this certificate may be that, and nothing was deployed (${hint})`)
}

const isUnderWay = async (state: StateFolder, { name, fingerprint }: CertificateBundle): Promise<boolean> => {
  const { records } = await readDeployments(state, name)
  return records.some((one) => one.fingerprint.sha256 === fingerprint.sha256 && pendingOf(one).length > 0)
}

const underWay = (bundle: CertificateBundle): string =>
  `${bundle.name} was rolled back to ${archiveName(bundle)}, which is not everywhere yet: acme-oss sync goes on with that, and nothing else was done`

const isOlder = (bundle: CertificateBundle, { notBefore, notAfter }: Hold): boolean =>
  bundle.notBefore.getTime() < Date.parse(notBefore) && bundle.notAfter.getTime() < Date.parse(notAfter)

const dayOf = ({ at }: Hold): string => at.slice(0, 10)

const staysAway = (bundle: CertificateBundle, hold: Hold): string =>
  `${bundle.name} was rolled back from ${archiveName(bundle)} on ${dayOf(hold)} and stays at ${hold.archive}: nothing was deployed; a new certificate will be (acme-oss renew ${bundle.name} --force-renewal, or your client), and so is this one by acme-oss deploy`
