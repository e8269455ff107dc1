// What could be on record of a name, made up.
import type { NameFacts } from '../../src/monitor/name-facts.js'
import type { CertificateRecord } from '../../src/state/certificates.js'
import type { DeploymentRecord, RecordedError, StepRecord } from '../../src/state/deployment-record.js'
import type { FailedRenewal } from '../../src/state/failed-renewal.js'

export const now = new Date('2026-06-01T12:00:00.000Z')
export const day = 86_400_000
export const at = (days: number): string => new Date(now.getTime() + days * day).toISOString()

export const facts = (some: Partial<NameFacts> = {}): NameFacts => ({
  name: 'example.com',
  records: [],
  damaged: [],
  certificate: undefined,
  isRenewed: false,
  renewal: undefined,
  failedRenewal: undefined,
  orders: [],
  hold: undefined,
  ...some,
})

/** Valid from and until so many days from now. */
export type Span = readonly [from: number, until: number]

/** @param digit of which its fingerprints are made */
export const record = (
  digit: string,
  [from, until]: Span,
  steps: Readonly<Record<string, StepRecord>> = { archive: done, latest: done },
  some: Partial<DeploymentRecord> = {},
): DeploymentRecord => ({
  schema: 1,
  name: 'example.com',
  names: ['example.com', 'www.example.com'],
  notBefore: at(from),
  notAfter: at(until),
  serial: '01',
  fingerprint: { sha1: digit.repeat(40), sha256: digit.repeat(64) },
  archive: `${at(from).slice(0, 10)}_${digit.repeat(8)}`,
  recordedAt: at(from),
  unresolved: null,
  targets: { 'oss one': { kind: 'oss', name: 'oss my-ssl-certs/certs/', settings: {}, steps } },
  ...some,
})

export const done: StepRecord = { status: 'done', at: at(-1) }
export const open: StepRecord = { status: 'pending' }
export const over = (status: 'superseded' | 'forgotten' | 'expired'): StepRecord =>
  status === 'superseded' ? { status, at: at(-1), by: 'b'.repeat(12) } : { status, at: at(-1) }
export const failed = (error: Partial<RecordedError> = {}): StepRecord => ({
  status: 'failed',
  at: at(-1),
  tries: 3,
  next: at(1),
  error: { code: 'CLOUD_REFUSED', message: 'the bucket is gone', hint: 'make it', ...error },
})

/** What our issuer remembers of one with the same fingerprint as `record(digit, …)`. */
export const certificate = (
  digit: string,
  [from, until]: Span,
  some: Partial<NonNullable<CertificateRecord['current']>> = {},
): CertificateRecord => ({
  schema: 2,
  name: 'example.com',
  names: ['example.com', 'www.example.com'],
  issue: {
    ca: [{ name: 'letsencrypt', directory: 'https://ca.test/directory' }],
    agreeTos: true,
    keyType: 'ec256',
    reuseKey: false,
    caTimeout: 60,
    solver: { solver: 'webroot' },
    eab: {},
  },
  deploy: [],
  current: {
    id: digit.repeat(12),
    notBefore: at(from),
    notAfter: at(until),
    directory: 'https://ca.test/directory',
    keyType: 'ec256',
    ...some,
  },
})

export const failedRenewal = (some: Partial<FailedRenewal> = {}): FailedRenewal => ({
  schema: 1,
  since: at(-2),
  at: at(-0.01),
  tries: 7,
  passing: false,
  next: undefined,
  error: { code: 'CHALLENGE_FAILED', message: 'nobody answered', hint: 'open port 80' },
  ...some,
})
