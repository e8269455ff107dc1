import { randomBytes } from 'node:crypto'
import type { JsonObject } from '../json.js'
import { givenKeyPair, type KeyPair, type PemPair } from '../key-pair.js'
import type { CallsPerSecond } from '../pop/operation.js'

export interface CasCertificate extends KeyPair {
  /** The `CertId` of the certificate service, of CDN and of DCDN. */
  readonly id: number
  /** `<id>-cn-hangzhou`: the `CertId` of OSS. */
  readonly identifier: string
  readonly region: string
  readonly name: string
  /** `cas-upload-...` */
  readonly instanceId: string
  /** SHA-1 of the leaf in upper-case hex. */
  readonly fingerprint: string
}

interface Entry extends PemPair {
  readonly id?: number | undefined
  readonly name?: string | undefined
}

/** The certificates of the account. */
export class CasStore {
  /** The suffix of identifiers; `ap-southeast-1` for the international site. Counts for what is added afterwards. */
  region = 'cn-hangzhou'
  /** The most that it takes. */
  quota = 5000
  callsPerSecond: CallsPerSecond
  /** Fields that its answers do not have, though the documents name them. */
  readonly leavesOut = new Set<string>()
  readonly #certificates = new Map<number, CasCertificate>()
  #nextId = 10_741_304

  /** In the order of their coming. */
  get certificates(): readonly CasCertificate[] {
    return [...this.#certificates.values()]
  }

  /** Puts one there without a request; it may have run out. One of the same id is replaced. */
  add({ id = this.#nextId++, name = `cert-${id}`, ...pair }: Entry): CasCertificate {
    const read = givenKeyPair(pair)
    const certificate: CasCertificate = {
      ...read,
      id,
      identifier: `${id}-${this.region}`,
      region: this.region,
      name,
      instanceId: `cas-upload-${randomBytes(3).toString('hex')}`,
      fingerprint: read.leaf.fingerprint.replaceAll(':', ''),
    }
    this.#certificates.set(id, certificate)
    return certificate
  }

  find(id: number): CasCertificate | undefined {
    return this.#certificates.get(id)
  }

  byIdentifier(identifier: string): CasCertificate | undefined {
    return this.certificates.find((certificate) => certificate.identifier === identifier)
  }

  /** Whether it was there. */
  remove(id: number): boolean {
    return this.#certificates.delete(id)
  }

  /** An answer without what is left out. */
  tell(answer: JsonObject): JsonObject {
    return { ...answer, ...Object.fromEntries([...this.leavesOut].map((name) => [name, undefined])) }
  }
}
