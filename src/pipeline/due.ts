import { renewalTime, spreadOf } from '../certificate/renewal-time.js'
import type { CertificateRecord, IssuedVersion } from '../state/certificates.js'

/** A certificate that our issuer is to provide, with all that is to be remembered of it. */
export type Wanted = Omit<CertificateRecord, 'schema' | 'current' | 'forgotten'>

export type Due =
  | {
      readonly due: true
      readonly why: string
      /** Until when there is one that does, where there is. */
      readonly validUntil: Date | undefined
    }
  | { readonly due: false; readonly at: Date }

/**
 * Whether a new certificate is to be ordered.
 * @param record what was issued before, and for whom
 */
export const dueness = (wanted: Wanted, record: CertificateRecord | undefined, now: Date): Due => {
  const current = record?.current
  if (record === undefined || current === undefined)
    return { due: true, why: 'there is none yet', validUntil: undefined }
  if (current.revokedAt !== undefined) return { due: true, why: 'it was revoked', validUntil: undefined }
  const change = changed(wanted, record.names, current)
  const validUntil = new Date(current.notAfter)
  if (change !== undefined) return { due: true, why: change, validUntil }
  const at = renewalMoment(current)
  if (at > now) return { due: false, at }
  const days = Math.max(0, Math.floor((Date.parse(current.notAfter) - now.getTime()) / 86_400_000))
  return { due: true, why: `it is valid for ${days} more ${days === 1 ? 'day' : 'days'}`, validUntil }
}

/** When a certificate is to be renewed, by our own rule or as its CA advises. */
export const renewalMoment = ({ id, notBefore, notAfter, advice }: IssuedVersion): Date =>
  renewalTime(
    { notBefore: new Date(notBefore), notAfter: new Date(notAfter) },
    spreadOf(id),
    advice?.at === undefined ? undefined : new Date(advice.at),
  )

/** A certificate of a test CA, or with another kind of key, is not what is wanted, whatever its names. */
const changed = ({ names, issue }: Wanted, stored: readonly string[], version: IssuedVersion): string | undefined => {
  if (sorted(names) !== sorted(stored)) return 'other names are wanted'
  if (!issue.ca.some(({ directory }) => directory === version.directory)) return 'another CA is wanted'
  if (version.keyType !== issue.keyType) return 'another kind of key is wanted'
  if (version.profile !== issue.profile) return 'another profile is wanted'
  return undefined
}

const sorted = (names: readonly string[]): string => [...names].sort().join()
