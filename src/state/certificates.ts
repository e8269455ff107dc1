import type { CertificateBundle } from '../certificate/bundle.js'
import { fullchain } from '../certificate/bundle.js'
import { Secret } from '../secret.js'
import {
  type CertificateRecord,
  type DeploySettings,
  type IssuedVersion,
  isVersionId,
  parseCertificateRecord,
} from './certificate-record.js'
import { removeFailedRenewal } from './failed-renewal.js'
import type { StateFolder } from './state-folder.js'

export type {
  CertificateRecord,
  DeploySettings,
  IssuedVersion,
  IssueSettings,
  KnownCa,
  RenewalAdvice,
} from './certificate-record.js'

/** A certificate as it lies on disk: PEM, leaf first. */
export interface StoredMaterial {
  readonly certificates: string
  readonly privateKey: Secret
}

/** Who issued a certificate, and as what. */
export type Issued = Pick<IssuedVersion, 'directory' | 'keyType' | 'profile' | 'renewalId'>

const root = 'certificates'
const recordFile = 'certificate.json'
const certificateFile = 'fullchain.pem'
const keyFile = 'privkey.pem'

/** The names of all that our issuer issued, or began to. */
export const certificateNames = (state: StateFolder): string[] => state.listFoldersNow([root])

/** The id of the version that a certificate is. */
export const versionOf = ({ fingerprint }: Pick<CertificateBundle, 'fingerprint'>): string =>
  fingerprint.sha256.slice(0, 12)

/** What our issuer issued, kept until it is replaced and a while longer. */
export class CertificateStore {
  readonly #state: StateFolder
  readonly #name: string
  readonly #folder: readonly string[]

  constructor(state: StateFolder, name: string) {
    this.#state = state
    this.#name = name
    this.#folder = [root, name]
  }

  #path(name: string): string {
    return this.#state.path(root, name)
  }

  async read(): Promise<CertificateRecord | undefined> {
    // There are thousands of them, and none is large.
    const text = this.#state.readNow([...this.#folder, recordFile])
    const record = text === undefined ? undefined : parseCertificateRecord(text)
    // A long name is shortened on disk. One that was copied from another folder would be deployed in the other's place.
    const isOwn =
      record?.name === this.#name || (record !== undefined && this.#path(record.name) === this.#path(this.#name))
    return isOwn ? record : undefined
  }

  /** Is there a record, be it one that cannot be made sense of? */
  async isThere(): Promise<boolean> {
    return (await this.#state.writtenAt([...this.#folder, recordFile])) !== undefined
  }

  /** PEM, leaf first. It outlives its key. */
  readCertificates({ id }: IssuedVersion): Promise<string | undefined> {
    return this.#state.read([...this.#folder, id, certificateFile])
  }

  async readMaterial(version: IssuedVersion): Promise<StoredMaterial | undefined> {
    const [certificates, privateKey] = await Promise.all([
      this.readCertificates(version),
      this.#state.read([...this.#folder, version.id, keyFile]),
    ])
    return certificates === undefined || privateKey === undefined
      ? undefined
      : { certificates, privateKey: new Secret(privateKey) }
  }

  /** Keeps an issued certificate, and says what it was issued and is deployed with. The record comes last. */
  async keep(
    bundle: CertificateBundle,
    record: Omit<CertificateRecord, 'schema' | 'current'>,
    issued: Issued,
  ): Promise<void> {
    const id = versionOf(bundle)
    const before = (await this.read())?.current?.id
    await this.#state.sweep([...this.#folder, id])
    await Promise.all([
      this.#state.write([...this.#folder, id, certificateFile], fullchain(bundle)),
      this.#state.write([...this.#folder, id, keyFile], bundle.privateKey.reveal()),
    ])
    const dates = { notBefore: bundle.notBefore.toISOString(), notAfter: bundle.notAfter.toISOString() }
    await this.keepRecord({ ...record, schema: 2, current: { id, ...dates, ...issued } })
    await removeFailedRenewal(this.#state, this.#name)
    // One more than is needed, since the one before may still be in place somewhere. What is left goes the next time.
    if (before !== undefined && before !== id) await this.#keepOnly([id, before]).catch(() => undefined)
  }

  async #keepOnly(kept: readonly string[]): Promise<void> {
    for (const id of await this.#versions()) {
      if (!kept.includes(id)) await this.#state.removeFolder([...this.#folder, id])
    }
  }

  /** Not to be renewed any more; where `isMeant` picks targets, only not to be deployed there. @returns was anything changed? */
  async forget(isMeant: ((target: DeploySettings) => boolean) | undefined): Promise<boolean> {
    const record = await this.read()
    if (record === undefined || record.forgotten) return false
    const deploy = isMeant === undefined ? record.deploy : record.deploy.filter((target) => !isMeant(target))
    const forgotten = isMeant === undefined
    if (!forgotten && deploy.length === record.deploy.length) return false
    await this.keepRecord({ ...record, deploy, ...(forgotten && { forgotten }) })
    return true
  }

  /** The private keys of all versions; the certificates stay, such as for `revoke`. */
  async removeKeys(): Promise<void> {
    for (const id of await this.#versions()) await this.#state.remove([...this.#folder, id, keyFile])
  }

  /** The folders of issued certificates, and nothing else that may lie there. */
  async #versions(): Promise<readonly string[]> {
    return (await this.#state.listFolders(this.#folder)).filter(isVersionId)
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

  async removeRecord(): Promise<void> {
    await this.#state.remove([...this.#folder, recordFile])
  }
}
