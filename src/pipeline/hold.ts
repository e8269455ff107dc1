import { archiveName, type CertificateBundle } from '../certificate/bundle.js'
import { pendingOf } from '../state/deployment-record.js'
import { readDeployments } from '../state/deployments.js'
import { endHold, type Hold, keepHold, readHold } from '../state/hold.js'
import type { StateFolder } from '../state/state-folder.js'

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
  readonly warnings: readonly string[]
}

const free: SettledHold = { isKeptBack: false, isHeld: false, warnings: [] }

/**
 * Sees what a hold says of a certificate that is about to be deployed; a different one ends it. Only for whoever holds
 * the lock of the name.
 * @throws CertError STATE_UNUSABLE
 */
export const settleHold = async (
  state: StateFolder,
  bundle: CertificateBundle,
  rule: HoldRule | undefined,
): Promise<SettledHold> => {
  const hold = await readHold(state, bundle.name)
  if (typeof rule === 'function') {
    await keepHold(state, await rule(hold))
    return { ...free, isHeld: true }
  }
  if (hold === undefined) return free
  const { sha256 } = bundle.fingerprint
  const isAway = hold.away.includes(sha256)
  if (isAway && rule !== 'end') return { isKeptBack: true, isHeld: true, warnings: [keptBack(bundle, hold)] }
  // Handed over again, it would give way to what it was rolled back from wherever that still stands.
  if (sha256 === hold.sha256 && rule !== 'end' && (await isUnderWay(state, bundle))) {
    return { isKeptBack: true, isHeld: true, warnings: [underWay(bundle)] }
  }
  // One that is older than what is held would not take its place, and must not make room for what was rolled back from.
  if (sha256 === hold.sha256 || (!isAway && isOlder(bundle, hold))) return { ...free, isHeld: true }
  await endHold(state, bundle.name)
  const ended = `${bundle.name} was rolled back from this certificate on ${dayOf(hold)}; that is over, since it was asked for`
  return { ...free, warnings: isAway ? [ended] : [] }
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

const keptBack = (bundle: CertificateBundle, hold: Hold): string =>
  `${bundle.name} was rolled back from ${archiveName(bundle)} on ${dayOf(hold)} and stays at ${hold.archive}: nothing was deployed; a new certificate will be (acme-oss renew ${bundle.name} --force-renewal, or your client), and so is this one by acme-oss deploy`
