import { archiveName, type CertificateFacts } from '../certificate/bundle.js'
import type { CertError } from '../errors.js'
import type { StageReport, StepResult } from '../pipeline/execute.js'
import type { Plan } from '../pipeline/plan.js'
import { redact } from '../secret.js'
import type { Pending } from '../state/deployment-record.js'

/** What a command that handles one certificate prints with `--json`; documented in docs/json.md. */
export interface ResultJson {
  readonly schema: 'acme-oss/1'
  readonly command: string
  readonly ok: boolean
  readonly certificate: CertificateJson | null
  /** Only of `issue-and-deploy`. */
  readonly order?: OrderJson
  readonly stages: readonly StageJson[]
  readonly pending: readonly PendingJson[]
  readonly warnings: readonly string[]
  readonly error: ErrorJson | null
}

export interface OrderJson {
  readonly ca: string
  /** False where the stored certificate was not due, and with `--dry-run`. */
  readonly placed: boolean
  /** Null with `--dry-run`. */
  readonly ms: number | null
}

export interface CertificateJson {
  readonly name: string
  readonly names: readonly string[]
  readonly notBefore: string
  readonly notAfter: string
  readonly serial: string
  readonly sha1: string
  readonly sha256: string
  readonly archive: string
}

export interface StageJson {
  readonly target: string
  readonly status: string
  readonly steps: readonly StepJson[]
}

export interface StepJson {
  readonly id: string
  readonly does: string
  readonly status: string
  readonly ms: number | null
  readonly note: string | null
  readonly error: ErrorJson | null
}

export interface PendingJson {
  /** Null where nobody knows yet where the certificate is to go. */
  readonly target: string | null
  readonly step: string | null
  readonly next: string | null
  readonly error: ErrorJson | null
}

export interface ErrorJson {
  readonly code: string
  readonly message: string
  readonly hint: string | null
  readonly vendor: { readonly code: string; readonly requestId: string | null } | null
}

type ErrorLike = Pick<CertError, 'code' | 'message' | 'hint' | 'vendor'> | NonNullable<Pending['error']>

export const errorJson = ({ code, message, hint, vendor }: ErrorLike): ErrorJson => ({
  code,
  message,
  hint: hint ?? null,
  vendor: vendor === undefined ? null : { code: vendor.code, requestId: vendor.requestId ?? null },
})

export const certificateJson = (facts: CertificateFacts): CertificateJson => ({
  name: facts.name,
  names: facts.names,
  notBefore: facts.notBefore.toISOString(),
  notAfter: facts.notAfter.toISOString(),
  serial: facts.serial,
  sha1: facts.fingerprint.sha1,
  sha256: facts.fingerprint.sha256,
  archive: archiveName(facts),
})

export const stageJson = ({ target, status, steps }: StageReport): StageJson => ({
  target,
  status,
  steps: steps.map(stepJson),
})

const stepJson = (result: StepResult): StepJson => ({
  id: result.id,
  does: result.does,
  status: result.status,
  ms: result.status === 'skipped' && !result.isDone ? null : result.ms,
  note: 'note' in result ? (result.note ?? null) : null,
  error: 'error' in result ? errorJson(result.error) : null,
})

/** What a plan says of a step that finds out by running what is to be done. */
export const unresolved = 'resolved when run'

/** A plan in the shape of a report. */
export const plannedStages = (plan: Plan): StageJson[] =>
  plan.stages.map(({ target, steps }) => ({
    target: target.name,
    status: 'planned',
    steps: steps.map(({ id, does, finds }) => ({
      id,
      does,
      status: 'planned',
      ms: null,
      note: finds ? unresolved : null,
      error: null,
    })),
  }))

export const pendingJson = ({ target, step, next, error }: Pending): PendingJson => ({
  target: target ?? null,
  step: step ?? null,
  next: next ?? null,
  error: error === undefined ? null : errorJson(error),
})

/** Exactly one line, cleared of every secret: text by text, since what is cut out of the whole could take quotes along. */
export const printJson = (result: object): string =>
  JSON.stringify(result, (_name, value: unknown) => (typeof value === 'string' ? redact(value) : value))
