import { type Flaw, readKeyPair } from '../key-pair.js'
import { metadataOf } from '../pop/metadata.js'
import type { PopOperation } from '../pop/operation.js'
import type { Given } from '../pop/parameters.js'
import { PopRefusal } from '../pop/refusal.js'
import type { CasStore } from './store.js'

/** The vendor documents none of these codes; only that a name is unique and that a bad PEM is refused. */
const flaws: Readonly<Record<Flaw, PopRefusal>> = {
  certificate: new PopRefusal(400, 'CertificateFormatError', 'The certificate format is wrong.'),
  key: new PopRefusal(400, 'PrivateKeyFormatError', 'The private key format is wrong.'),
  mismatch: new PopRefusal(400, 'CertificateKeyNotMatch', 'The certificate and the private key do not match.'),
}

const checkName = (name: string, store: CasStore): void => {
  // The vendor's page says "all types of characters, such as letters, digits and underscores"; its example has a dash.
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(name))
    throw new PopRefusal(400, 'InvalidName', 'The name must be 1 to 64 letters, digits, underscores or dashes.')
  if (store.certificates.some((certificate) => certificate.name === name))
    throw new PopRefusal(400, 'NameRepeat', 'The certificate name already exists.')
}

const demanded = (given: Given, name: string): string => {
  const value = given[name]
  if (value !== undefined) return value
  throw new PopRefusal(400, `Missing${name}`, `${name} is mandatory for this action.`)
}

/** The certificates of the Chinese cipher suites are not built, and nobody here has tags or resource groups. */
const notBuilt = ['EncryptCert', 'EncryptPrivateKey', 'ResourceGroupId', 'SignCert', 'SignPrivateKey']

export const uploadUserCertificate = (store: CasStore): PopOperation => ({
  name: 'UploadUserCertificate',
  metadata: metadataOf('cas', 'UploadUserCertificate'),
  resources: () => ['*'],
  perform({ given }) {
    const other = notBuilt.find((name) => given[name] !== undefined)
    if (other !== undefined) throw new PopRefusal(400, 'NotImplemented', `The emulator does not know ${other}.`)
    const name = given['Name'] ?? ''
    checkName(name, store)
    const read = readKeyPair({ fullchain: demanded(given, 'Cert'), key: demanded(given, 'Key') })
    if (typeof read === 'string') throw flaws[read]
    // An undocumented code again.
    if (store.certificates.length >= store.quota)
      throw new PopRefusal(400, 'QuotaExceeded', 'The quota of uploaded certificates is used up.')
    const { id, instanceId } = store.add({ name, fullchain: read.fullchain, key: read.key })
    return { CertId: id, ResourceId: instanceId }
  },
})
