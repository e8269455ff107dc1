import type { CertificateBundle } from '../certificate/bundle.js'
import { fullchain } from '../certificate/bundle.js'
import { Secret } from '../secret.js'
import type { StateFolder } from './state-folder.js'

/** What our issuer did and is to do again, as it lies in `certificates/<name>/certificate.json`. */
export interface CertificateRecord {
  readonly schema: 2
  readonly name: string
  /** As they were asked for, in canonical spelling. */
  readonly names: readonly string[]
  readonly issue: IssueSettings
  readonly deploy: readonly DeploySettings[]
  /** Is it issued because the configuration says so, and not any more when it does not? */
  readonly configured?: boolean | undefined
  /** It is not to be renewed any more. */
  readonly forgotten?: boolean | undefined
  /** The certificate that is in use: a folder of the same name beside this file. Undefined until the first is issued. */
  readonly current: IssuedVersion | undefined
}

/** How it is issued, without anything secret: enough to do it again, in a process that was told nothing else. */
export interface IssueSettings {
  /** In the order in which they are asked. */
  readonly ca: readonly KnownCa[]
  readonly email?: string | undefined
  readonly agreeTos: boolean
  readonly keyType: string
  readonly reuseKey: boolean
  readonly profile?: string | undefined
  /** The common name of the root that the chain is to lead to. */
  readonly preferredChain?: string | undefined
  /** How long a CA may take to decide, in seconds. */
  readonly caTimeout: number
  readonly solver: Readonly<Record<string, string | number | boolean | undefined>>
  /** A file: the authorities that the CA's own server is trusted by. */
  readonly caBundle?: string | undefined
  /** Account bindings, by the URL of the CA's directory. */
  readonly eab: Readonly<Record<string, { readonly kid: string; readonly hmacKeyFile: string }>>
  /** A second CA, of which a certificate is kept ready. */
  readonly standby?: KnownCa | undefined
}

export interface KnownCa {
  /** How people call it. */
  readonly name: string
  /** The URL of its directory. */
  readonly directory: string
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
  /** The URL of the directory of the CA that issued it. */
  readonly directory: string
  readonly keyType: string
  readonly profile?: string | undefined
  /** What the CA is asked by for its advice, and told what a new one replaces (RFC 9773). */
  readonly renewalId?: string | undefined
  readonly advice?: RenewalAdvice | undefined
  readonly revokedAt?: string | undefined
}

/** When the CA would like it to be renewed, and when it is asked again. */
export interface RenewalAdvice {
  /** Absent where it gave no advice that could be made sense of. */
  readonly window?: { readonly start: string; readonly end: string } | undefined
  /** The moment in the window that was drawn: it stays as long as the window does. */
  readonly at?: string | undefined
  readonly explanation?: string | undefined
  readonly nextLook: string
}

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
  readonly #folder: readonly string[]

  constructor(state: StateFolder, name: string) {
    this.#state = state
    this.#folder = [root, name]
  }

  async read(): Promise<CertificateRecord | undefined> {
    // There are thousands of them, and none is large.
    const text = this.#state.readNow([...this.#folder, recordFile])
    return text === undefined ? undefined : parseRecord(text)
  }

  /** Is there a record, be it one that cannot be made sense of? */
  async isThere(): Promise<boolean> {
    return (await this.#state.writtenAt([...this.#folder, recordFile])) !== undefined
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
  async keep(
    bundle: CertificateBundle,
    record: Omit<CertificateRecord, 'schema' | 'current'>,
    issued: Issued,
  ): Promise<void> {
    const id = versionOf(bundle)
    await this.#state.sweep([...this.#folder, id])
    await Promise.all([
      this.#state.write([...this.#folder, id, certificateFile], fullchain(bundle)),
      this.#state.write([...this.#folder, id, keyFile], bundle.privateKey.reveal()),
    ])
    const dates = { notBefore: bundle.notBefore.toISOString(), notAfter: bundle.notAfter.toISOString() }
    await this.keepRecord({ ...record, schema: 2, current: { id, ...dates, ...issued } })
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

/** Written in one piece by us: what cannot be made sense of has to be asked for again. */
const parseRecord = (text: string): CertificateRecord | undefined => {
  try {
    const record = JSON.parse(text) as CertificateRecord
    const { schema, names, issue, deploy } = record
    const isWhole = [names, deploy, issue.ca].every(Array.isArray) && typeof issue.solver === 'object'
    return schema === 2 && isWhole ? record : undefined
  } catch {
    return undefined
  }
}
