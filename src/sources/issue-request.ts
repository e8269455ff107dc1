import { X509Certificate } from 'node:crypto'
import { CertError } from '../errors.js'
import { findCa } from '../issuer/ca.js'
import type { CaAccess, ExternalAccount } from '../issuer/ca-sessions.js'
import { isKeyType } from '../issuer/certificate-key.js'
import { Secret } from '../secret.js'
import type { SolverSettings } from '../solvers/solver-settings.js'
import type { IssueSettings } from '../state/certificates.js'
import { readTextFile } from './files.js'
import type { IssueRequest } from './issuer.js'
import type { Previous } from './source.js'

/**
 * An order out of what was asked for, now or in an earlier run; the files that it names are read.
 * @throws CertError USAGE, FILE_UNREADABLE
 */
export const issueRequest = async (
  name: string,
  names: readonly string[],
  issue: IssueSettings,
  { key, replaces }: Previous,
): Promise<IssueRequest> => {
  const { keyType, profile, preferredChain, caTimeout } = issue
  if (!isKeyType(keyType))
    throw new CertError('USAGE', `there is no kind of key "${keyType}"`, { hint: 'see --key-type' })
  return {
    name,
    names,
    cas: await accessTo(issue),
    // As it was written down by us.
    solver: issue.solver as unknown as SolverSettings,
    keyType,
    key: issue.reuseKey ? key : undefined,
    profile,
    preferredChain,
    replaces,
    patience: caTimeout * 1000,
  }
}

/**
 * The CAs, with how to meet each.
 * @throws CertError USAGE, FILE_UNREADABLE
 */
export const accessTo = async (issue: IssueSettings): Promise<CaAccess[]> => {
  const { email, agreeTos, eab } = issue
  const bundle = issue.caBundle === undefined ? undefined : await readCaBundle(issue.caBundle)
  return issue.ca.map(({ directory }) => {
    const ca = findCa(directory)
    const binding = Object.hasOwn(eab, directory) ? eab[directory] : undefined
    return {
      ca,
      email,
      agreeTos,
      externalAccount: binding && (() => readExternalAccount(binding)),
      // The CAs that have a name are known to everybody.
      caBundle: ca.isKnown ? undefined : bundle,
    }
  })
}

/** @throws CertError USAGE, FILE_UNREADABLE */
const readExternalAccount = async ({ kid, hmacKeyFile }: IssueSettings['eab'][string]): Promise<ExternalAccount> => {
  const hmacKey = (await readTextFile(hmacKeyFile)).trim()
  if (!/^[A-Za-z0-9_+/-]{16,}=*$/.test(hmacKey)) {
    throw new CertError('USAGE', `${hmacKeyFile} does not hold the key of an account binding`, {
      hint: 'the CA shows it as one line of letters and digits (base64url)',
    })
  }
  return { kid, hmacKey: new Secret(hmacKey) }
}

/** @throws CertError USAGE, FILE_UNREADABLE */
export const readCaBundle = async (file: string): Promise<string> => {
  const pem = await readTextFile(file)
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0 || !blocks.every(isCertificate)) {
    throw new CertError('USAGE', `${file} holds no certificate`, {
      hint: 'give PEM (BEGIN CERTIFICATE) with --ca-bundle',
    })
  }
  return pem
}

const isCertificate = (block: string): boolean => {
  try {
    return new X509Certificate(block).raw.length > 0
  } catch {
    return false
  }
}
