import { CertError } from '../errors.js'
import type { Secret } from '../secret.js'
import type { Attempted } from './refusal.js'
import { isForbidden, type Json, listed, listOf, type RpcClient, textOf } from './rpc.js'

export const casVersion = '2020-04-07'

/** A certificate as other products refer to it. */
export interface CasCertificate {
  /** The bare number: CDN and DCDN take it with the region. */
  readonly id: string
  /** `cn-hangzhou`, or `ap-southeast-1` on the international site. */
  readonly region: string
  /** Both in one, never put together by us: OSS takes it. */
  readonly identifier: string
  /** Was it put there now? */
  readonly isNew: boolean
}

/** One of the certificates that were uploaded to the account. */
export interface UploadedCertificate {
  readonly id: string
  readonly name: string
  /** SHA-1 of the leaf, hexadecimal, lower case. */
  readonly sha1: string | undefined
  /** SHA-256 of the leaf, likewise. */
  readonly sha256: string | undefined
  readonly expires: Date | undefined
}

export interface Upload {
  /** At most 64 letters, digits, hyphens and underscores; unique in the account. */
  readonly name: string
  /** SHA-1 of the leaf, hexadecimal, lower case. */
  readonly sha1: string
  /** SHA-256 of the leaf, likewise. */
  readonly sha256: string
  /** Leaf and chain, PEM. */
  readonly certificate: string
  readonly privateKey: Secret
}

interface Identified {
  readonly place: Omit<CasCertificate, 'isNew'>
  /** How many certificates it is known to consist of. */
  readonly length: number
}

const pageSize = 50
const attempted = (doing: string, action: string): Attempted => ({
  doing,
  action: `yundun-cert:${action}`,
  resource: '*',
})

/** Certificate Management Service: the account's own store of certificates. */
export class CertificateService {
  readonly #client: RpcClient
  readonly #kept = new Map<string, Promise<CasCertificate>>()

  constructor(client: RpcClient) {
    this.#client = client
  }

  /**
   * The certificate's place in the service, where it is put once however many ask for it.
   * @throws CertError
   */
  keep(upload: Upload, signal: AbortSignal): Promise<CasCertificate> {
    const known = this.#kept.get(upload.sha1)
    if (known !== undefined) return known
    const keeping = this.#findOrUpload(upload, signal)
    this.#kept.set(upload.sha1, keeping)
    // Whoever asks after a failure has it tried again.
    keeping.catch(() => this.#kept.delete(upload.sha1))
    return keeping
  }

  async #findOrUpload(upload: Upload, signal: AbortSignal): Promise<CasCertificate> {
    const found = await this.#find(upload, signal)
    const { place } = found ?? (await this.#identify(await this.#upload(upload, signal), signal))
    return { ...place, isNew: found === undefined }
  }

  /**
   * Looked for by what it is, whoever put it there and whatever it is called. What has our name came with its chain;
   * what somebody else has uploaded may be the leaf alone, which browsers would refuse.
   */
  async #find(upload: Upload, signal: AbortSignal): Promise<Identified | undefined> {
    const others: string[] = []
    for await (const one of this.list('valid', signal)) {
      if (!isLeafOf(upload, one)) continue
      if (one.name === upload.name) return await this.#identify(one.id, signal)
      others.push(one.id)
    }
    const needed = upload.certificate.split('-----BEGIN CERTIFICATE-----').length - 1
    for (const id of others) {
      const other = await this.#identify(id, signal)
      if (other.length >= needed) return other
    }
    return undefined
  }

  async #upload(upload: Upload, signal: AbortSignal): Promise<string> {
    const { name, certificate, privateKey } = upload
    const what = attempted(`uploading ${name} to the certificate service`, 'UploadUserCertificate')
    try {
      const answer = await this.#client.call(
        'UploadUserCertificate',
        { Name: name, Cert: certificate, Key: privateKey },
        what,
        signal,
      )
      return requireId(answer['CertId'], what)
    } catch (error) {
      // An upload whose answer got lost is there by now, under this name.
      const isRefused = error instanceof CertError && error.code === 'CLOUD_REFUSED' && !isForbidden(error)
      const there = isRefused ? await this.#find(upload, signal) : undefined
      if (there === undefined) throw error
      return there.place.id
    }
  }

  async #identify(id: string, signal: AbortSignal): Promise<Identified> {
    const what = attempted(`looking up the certificate ${id} in the certificate service`, 'GetUserCertificateDetail')
    // Without the filter the answer holds the private key.
    const answer = await this.#client.call('GetUserCertificateDetail', { CertId: id, CertFilter: true }, what, signal)
    const identifier = requireId(answer['CertIdentifier'], what)
    const hyphen = identifier.indexOf('-')
    return {
      place:
        hyphen < 0
          ? { id, region: 'cn-hangzhou', identifier }
          : { id: identifier.slice(0, hyphen), region: identifier.slice(hyphen + 1), identifier },
      // Where nothing is said of a chain there is a leaf at least.
      length: Math.max(1, listOf(answer, 'CertChain').length),
    }
  }

  /** The certificates that were uploaded, page by page: those in force, or those that have expired. */
  async *list(which: 'valid' | 'expired', signal: AbortSignal): AsyncGenerator<UploadedCertificate> {
    const what = attempted('listing the certificates in the certificate service', 'ListUserCertificateOrder')
    const pages = listed(pageSize, async (page) => {
      const answer = await this.#client.call(
        'ListUserCertificateOrder',
        {
          OrderType: 'UPLOAD',
          CurrentPage: page,
          ShowSize: pageSize,
          // Without a status those that have expired are left out.
          ...(which === 'expired' && { Status: 'EXPIRED' }),
        },
        what,
        signal,
      )
      return { answer, found: listOf(answer, 'CertificateOrderList') }
    })
    for await (const one of pages) yield* readUploaded(one)
  }

  /** Whether a certificate may be looked up: throws where it may not. The private key is not asked for. */
  async requireLook(id: string, signal: AbortSignal): Promise<void> {
    await this.#identify(id, signal)
  }

  async remove(id: string, signal: AbortSignal): Promise<void> {
    const what = attempted(`deleting the certificate ${id} in the certificate service`, 'DeleteUserCertificate')
    await this.#client.call('DeleteUserCertificate', { CertId: id }, what, signal)
  }
}

const requireId = (value: unknown, { doing }: Attempted): string => {
  const id = textOf(value)
  if (id !== undefined) return id
  throw new CertError('CLOUD_UNAVAILABLE', `${doing}: the answer says nothing of an id`, {
    passing: true,
    hint: 'run it again; if it stays so, report it',
  })
}

/** By whichever sum the service tells; where it tells none, our name says which one it is. */
const isLeafOf = ({ name, sha1, sha256 }: Upload, one: UploadedCertificate): boolean =>
  one.sha1 === undefined && one.sha256 === undefined ? one.name === name : one.sha256 === sha256 || one.sha1 === sha1

const readUploaded = (one: Json): UploadedCertificate[] => {
  const id = textOf(one['CertificateId'])
  const end = new Date(`${textOf(one['EndDate']) ?? ''}T23:59:59Z`)
  return id === undefined
    ? []
    : [
        {
          id,
          name: textOf(one['Name']) ?? '',
          sha1: sumOf(one['Fingerprint']),
          sha256: sumOf(one['Sha2']),
          expires: Number.isNaN(end.getTime()) ? undefined : end,
        },
      ]
}

const sumOf = (value: unknown): string | undefined => textOf(value)?.replaceAll(':', '').toLowerCase()
