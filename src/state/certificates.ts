import type { CertificateBundle } from '../certificate/bundle.js'
import { fullchain } from '../certificate/bundle.js'
import { Secret } from '../secret.js'
import type { StateFolder } from './state-folder.js'

/** What our issuer did and is to do again, as it lies in `certificates/<name>/certificate.json`. */
export interface CertificateRecord {
  readonly schema: 1
  readonly name: string
  /** As they were asked for, in canonical spelling. */
  readonly names: readonly string[]
  readonly issue: IssueSettings
  readonly deploy: readonly DeploySettings[]
  /** The certificate that is in use: a folder of the same name beside this file. */
  readonly current: IssuedVersion | undefined
}

/** How it was issued, without anything secret. */
export interface IssueSettings {
  /** The URL of the CA's directory. */
  readonly directory: string
  readonly ca: string
  readonly email?: string | undefined
  readonly keyType: string
  readonly solver: Readonly<Record<string, string | number | undefined>>
  readonly caBundle?: string | undefined
  readonly eabKid?: string | undefined
  readonly eabHmacKeyFile?: string | undefined
}

export interface DeploySettings {
  readonly kind: string
  readonly settings: Readonly<Record<string, string | boolean>>
}

export interface IssuedVersion {
  /** The first 12 digits of the leaf's SHA-256, and the name of the folder. */
  readonly id: string
  readonly notBefore: string
  readonly notAfter: string
  readonly directory: string
  readonly keyType: string
  /** Since when nothing may be deployed from it any more. */
  readonly revokedAt?: string | undefined
}

/** A certificate as it lies on disk: PEM, leaf first. */
export interface StoredMaterial {
  readonly certificates: string
  readonly privateKey: Secret
}

const recordFile = 'certificate.json'
const certificateFile = 'fullchain.pem'
const keyFile = 'privkey.pem'

/** What our issuer issued, kept until it is replaced and a while longer. */
export class CertificateStore {
  readonly #state: StateFolder
  readonly #folder: readonly string[]

  constructor(state: StateFolder, name: string) {
    this.#state = state
    this.#folder = ['certificates', name]
  }

  async read(): Promise<CertificateRecord | undefined> {
    const text = await this.#state.read([...this.#folder, recordFile])
    if (text === undefined) return undefined
    try {
      const record = JSON.parse(text) as CertificateRecord
      return record.schema === 1 ? record : undefined
    } catch {
      // Written in one piece by us: what it said has to be asked for again.
      return undefined
    }
  }

  async readMaterial(version: IssuedVersion): Promise<StoredMaterial | undefined> {
    const [certificates, privateKey] = await Promise.all([
      this.#state.read([...this.#folder, version.id, certificateFile]),
      this.#state.read([...this.#folder, version.id, keyFile]),
    ])
    return certificates === undefined || privateKey === undefined
      ? undefined
      : { certificates, privateKey: new Secret(privateKey) }
  }

  /** Keeps an issued certificate, and says what it was issued and is deployed with. The record comes last. */
  async keep(bundle: CertificateBundle, record: Omit<CertificateRecord, 'schema' | 'current'>): Promise<void> {
    const id = bundle.fingerprint.sha256.slice(0, 12)
    await this.#state.sweep([...this.#folder, id])
    await Promise.all([
      this.#state.write([...this.#folder, id, certificateFile], fullchain(bundle)),
      this.#state.write([...this.#folder, id, keyFile], bundle.privateKey.reveal()),
    ])
    const { directory, keyType } = record.issue
    const dates = { notBefore: bundle.notBefore.toISOString(), notAfter: bundle.notAfter.toISOString() }
    await this.keepRecord({ ...record, schema: 1, current: { id, ...dates, directory, keyType } })
  }

  /** Nothing changes where another certificate is in use by now. */
  async markRevoked(id: string, at: Date): Promise<void> {
    const record = await this.read()
    if (record?.current?.id !== id) return
    await this.keepRecord({ ...record, current: { ...record.current, revokedAt: at.toISOString() } })
  }

  async keepRecord(record: CertificateRecord): Promise<void> {
    await this.#state.write([...this.#folder, recordFile], `${JSON.stringify(record, null, 2)}\n`)
  }
}
