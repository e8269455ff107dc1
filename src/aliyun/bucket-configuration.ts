import { OssClient, type OssClientOptions, vendorCode } from './oss-client.js'

/** One of a bucket's settings that is a document. */
interface Document {
  readonly query: string
  readonly contentType: string
  /** RAM actions. The vendor's pages call those of the HTTPS configuration by two names each; either is enough. */
  readonly reading: string
  readonly writing: string
  /** What OSS answers where there is none. */
  readonly absent: string
}

const documents = {
  httpsConfig: {
    query: 'httpsConfig',
    contentType: 'application/xml',
    reading: 'oss:GetBucketHttpsConfig and oss:GetTLSVersion',
    writing: 'oss:PutBucketHttpsConfig and oss:PutTLSVersion',
    absent: 'NoSuchHttpsConfig',
  },
  policy: {
    query: 'policy',
    contentType: 'application/json',
    reading: 'oss:GetBucketPolicy',
    writing: 'oss:PutBucketPolicy',
    absent: 'NoSuchBucketPolicy',
  },
} satisfies Readonly<Record<string, Document>>

export type BucketDocument = keyof typeof documents

/** What is configured for a bucket, as the texts that OSS keeps: whatever else is in them stays in them. */
export class BucketConfiguration {
  readonly #client: OssClient

  constructor(options: OssClientOptions) {
    this.#client = new OssClient(options)
  }

  /** Undefined where there is none. @throws CertError CLOUD_REFUSED, CLOUD_UNAVAILABLE, CREDENTIALS_MISSING */
  async read(document: BucketDocument, signal: AbortSignal): Promise<string | undefined> {
    const { query, reading, absent } = documents[document]
    const attempted = this.#client.attempt(`reading the ${wordFor[document]} of`, reading)
    try {
      const { body } = await this.#client.call({ method: 'GET', query: { [query]: null }, attempted }, signal)
      return body.toString('utf8')
    } catch (error) {
      if (vendorCode(error) === absent) return undefined
      throw error
    }
  }

  /** Takes the place of the whole old one. @throws CertError CLOUD_REFUSED, CLOUD_UNAVAILABLE, CREDENTIALS_MISSING */
  async put(document: BucketDocument, text: string, signal: AbortSignal): Promise<void> {
    const { query, contentType, writing } = documents[document]
    const attempted = this.#client.attempt(`changing the ${wordFor[document]} of`, writing)
    const headers = { 'Content-Type': contentType }
    const body = Buffer.from(text)
    await this.#client.call({ method: 'PUT', query: { [query]: null }, headers, body, attempted }, signal)
  }

  /** Done as well where there was none. @throws CertError CLOUD_REFUSED, CLOUD_UNAVAILABLE, CREDENTIALS_MISSING */
  async deletePolicy(signal: AbortSignal): Promise<void> {
    const attempted = this.#client.attempt('deleting the policy of', 'oss:DeleteBucketPolicy')
    try {
      await this.#client.call({ method: 'DELETE', query: { policy: null }, attempted }, signal)
    } catch (error) {
      if (vendorCode(error) !== documents.policy.absent) throw error
    }
  }
}

const wordFor: Readonly<Record<BucketDocument, string>> = {
  httpsConfig: 'HTTPS configuration',
  policy: 'policy',
}
