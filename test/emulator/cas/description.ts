import type { X509Certificate } from 'node:crypto'
import type { JsonObject } from '../json.js'
import { dnsNames, isExpired } from '../key-pair.js'
import type { CasCertificate } from './store.js'

/** `CN=a\nO=b` as node writes it. */
export const part = (name: string, text: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1] ?? ''

const date = (text: string): string => new Date(text).toISOString().slice(0, 10)

const algorithm = (leaf: X509Certificate): string => (leaf.publicKey.asymmetricKeyType === 'rsa' ? 'RSA' : 'ECC')

export const commonName = ({ leaf }: Pick<CasCertificate, 'leaf'>): string =>
  part('CN', leaf.subject ?? '') || (dnsNames(leaf)[0] ?? '')

/** What a list and a detail have in common. */
export const described = (certificate: CasCertificate, now: Date): JsonObject => {
  const { leaf } = certificate
  return {
    Algorithm: algorithm(leaf),
    Name: certificate.name,
    InstanceId: certificate.instanceId,
    Issuer: part('CN', leaf.issuer),
    OrgName: part('O', leaf.subject ?? ''),
    City: part('L', leaf.subject ?? ''),
    Province: part('ST', leaf.subject ?? ''),
    Country: part('C', leaf.subject ?? ''),
    Sans: dnsNames(leaf).join(','),
    SerialNo: leaf.serialNumber.toLowerCase(),
    Fingerprint: certificate.fingerprint,
    Sha2: certificate.sha256.toUpperCase(),
    StartDate: date(leaf.validFrom),
    EndDate: date(leaf.validTo),
    Expired: isExpired(certificate, now),
    ResourceGroupId: 'rg-default',
  }
}
