import { archiveName, type CertificateBundle } from '../certificate/bundle.js'
import type { CertError } from '../errors.js'
import {
  type DeploymentRecord,
  nextTry,
  proofOf,
  type RecordedError,
  type StepRecord,
  type TargetRecord,
  withoutFormerCommands,
  withoutOtherWays,
} from './deployment-record.js'

/** A target as it is written down. */
export interface WantedTarget {
  readonly identity: string
  readonly kind: string
  readonly name: string
  readonly settings: Readonly<Record<string, string | boolean>>
  readonly steps: readonly string[]
  readonly afterOthers?: true | undefined
}

/** What is written down of a certificate that is wanted, over what was known of it before. */
export const newRecord = (
  bundle: CertificateBundle,
  targets: readonly WantedTarget[],
  now: Date,
  unresolved: CertError | undefined,
  known: DeploymentRecord | undefined,
): DeploymentRecord => ({
  schema: 1,
  name: bundle.name,
  names: bundle.names,
  notBefore: bundle.notBefore.toISOString(),
  notAfter: bundle.notAfter.toISOString(),
  serial: bundle.serial,
  fingerprint: bundle.fingerprint,
  archive: archiveName(bundle),
  recordedAt: now.toISOString(),
  unresolved: unresolved === undefined ? null : failure(unresolved, 0, now),
  targets: {
    ...(known && withoutFormerCommands(withoutOtherWays(known, targets, now), targets, now).targets),
    ...Object.fromEntries(targets.map((target) => [target.identity, toRecord(target, known)])),
  },
})

/** A failure as it is written down, with when it is tried again. */
export const failure = (error: CertError, triesBefore: number, now: Date) => {
  const { code, message, hint, vendor, passing } = error
  const recorded: RecordedError = { code, message, hint, vendor }
  const tries = triesBefore + 1
  return { at: now.toISOString(), tries, next: nextTry(tries, passing, now).toISOString(), error: recorded }
}

export const toRecord = (
  { identity, kind, name, settings, steps, afterOthers }: WantedTarget,
  known?: DeploymentRecord,
): TargetRecord => {
  // What an earlier run found is found again, or is not there any more; only what proves it is worth keeping.
  const proven = Object.entries(known?.targets[identity]?.steps ?? {}).filter(
    ([step, state]) => !steps.includes(step) && state.status === 'done' && proofOf(known, identity, step) !== undefined,
  )
  return {
    kind,
    name,
    settings,
    ...(afterOthers && { afterOthers }),
    steps: Object.fromEntries([...steps.map((step) => [step, pendingStep(proofOf(known, identity, step))]), ...proven]),
  }
}

export const pendingStep = (proof: string | undefined): StepRecord => ({
  status: 'pending',
  ...(proof !== undefined && { proof }),
})
