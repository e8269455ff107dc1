import type { CertificateBundle } from '../certificate/bundle.js'
import { covers, whyUncovered } from '../certificate/names.js'
import { CertError } from '../errors.js'
import type { Circumstances, DeployTarget, OnRecord, Step, Strand, Validity } from '../targets/target.js'
import type { Placing } from './placing.js'

/** What would be done, as a value: it can be printed, recorded and refused with no network, clock or credential. */
export interface Plan {
  readonly bundle: CertificateBundle
  /** Stand side by side: each fails apart from the others. */
  readonly stages: readonly Stage[]
  /** Of the same deployment: what came of it before, by the target's identity. */
  readonly earlier?: ReadonlyMap<string, readonly Placing[]>
}

export interface Stage {
  readonly target: DeployTarget
  /** Follow each other; the first that fails ends the stage. */
  readonly steps: readonly Step[]
  /** Found by an earlier run: side by side after the steps; one that fails ends its own strand. */
  readonly strands: readonly Strand[]
}

type NewestOn = (identity: string, place?: string) => Validity | undefined

/** What this machine has on record of a target, by its identity. */
export type RecordedOn = (identity: string) => OnRecord | undefined

/**
 * Lists every step of every target, once the certificate is known to cover all that will be served with it.
 * @param newestOn the newest certificate known to be wanted on a target, by its identity, or in a place of it
 * @throws CertError NAME_NOT_COVERED, USAGE
 */
export const planDeployment = (
  bundle: CertificateBundle,
  targets: readonly DeployTarget[],
  newestOn: NewestOn = () => undefined,
  recordedOn: RecordedOn = () => undefined,
): Plan => {
  requireUseful(bundle.names, targets)
  const distinct = [...new Map(targets.map((target) => [target.identity, target])).values()]
  return {
    bundle,
    stages: distinct.map((target) => ({
      target,
      steps: target.plan(bundle, circumstancesOf(target.identity, distinct, newestOn, recordedOn)),
      strands: [],
    })),
  }
}

export const circumstancesOf = (
  identity: string,
  targets: readonly DeployTarget[],
  newestOn: NewestOn,
  recordedOn: RecordedOn,
): Circumstances => ({
  newest: newestOn(identity),
  newestAt: (place) => newestOn(identity, place),
  others: targets.filter((other) => other.identity !== identity),
  onRecord: recordedOn(identity),
})

/**
 * Refuses what could not be deployed even if everything went well; asked before a certificate is ordered, too.
 * @throws CertError NAME_NOT_COVERED, USAGE
 */
export const requireUseful = (names: readonly string[], targets: readonly DeployTarget[]): void => {
  if (targets.length === 0) {
    throw new CertError('USAGE', 'nothing says where the certificate is to go', {
      hint: 'add a target, such as --bucket my-ssl-certs --region cn-hangzhou, or --directory /etc/ssl/example.com',
    })
  }
  for (const target of targets) {
    const uncovered = target.serves.find((host) => !covers(names, host))
    if (uncovered !== undefined) {
      throw new CertError('NAME_NOT_COVERED', `${target.name}: the certificate does not cover ${uncovered}`, {
        hint: whyUncovered(names, uncovered),
      })
    }
  }
}
