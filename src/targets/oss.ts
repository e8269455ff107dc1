import { archiveName, type CertificateBundle } from '../certificate/bundle.js'
import { type Certificate, firstCertificate } from '../certificate/x509.js'
import { type Options, text, toggle } from '../config/option.js'
import { CertError } from '../errors.js'
import type { Look, ObjectStore, StoredObject } from '../object-store.js'
import { digest, isPrivate, latestFolder, layout } from './layout.js'
import { newerThan, standBack, strangerIn } from './newer.js'
import type { Openness } from './open-to.js'
import { toStanding } from './standing.js'
import type { Circumstances, DeployTarget, Observed, Outcome, TargetSettings } from './target.js'
import { recordedAs, requireTrust, type TrustRule } from './untrusted.js'

export const encryptions = ['AES256', 'KMS', 'SM4'] as const

export const ossOptions = {
  bucket: text('the OSS bucket', { required: true }),
  region: text("the bucket's region, such as cn-hangzhou"),
  prefix: text('what the object keys begin with, such as certs/example.com/'),
  sse: text('have OSS encrypt the objects', { choices: encryptions }),
  endpoint: text('URL for reading and writing objects'),
  'cname-endpoint': toggle('the endpoint is a domain that is bound to the bucket'),
  'bucket-endpoint': text("URL for the bucket's configuration"),
  'allow-older': toggle('replace a newer certificate in latest/ by an older one'),
  'allow-untrusted': toggle('replace a trusted certificate in latest/ by one of a test CA'),
  'allow-public-bucket': toggle('write the private key into a bucket that anybody can read'),
  verify: toggle('done only when nobody else can read what was written'),
} satisfies Options

export interface OssLayoutOptions {
  readonly store: ObjectStore
  /** As `keyPrefix` returns it. */
  readonly prefix: string
  readonly settings: TargetSettings
  /** Scheme, host and port that the bucket is reached at. */
  readonly endpoint: string
  /** Put a certificate into `latest/` although a newer one stands there. */
  readonly allowOlder: boolean
  readonly trust: TrustRule
  /** Put the private key into a bucket that anybody can read. */
  readonly allowPublicBucket: boolean
  readonly warmUp?: (() => void) | undefined
  /** The bound domain that the bucket is reached through. */
  readonly reachedThrough: string | undefined
  /** Told that this domain was bound a moment ago. */
  readonly justBound: () => void
  /** Looks whether strangers can read what was written; absent where nobody asked for that. */
  readonly exposed?:
    | ((key: string, others: readonly DeployTarget[], signal: AbortSignal) => Promise<Openness>)
    | undefined
}

/** The versioned layout in a bucket. All of it works with the right to put objects alone. */
export const ossLayout = (options: OssLayoutOptions): DeployTarget => ({
  kind: 'oss',
  identity: `oss ${options.store.name}/${options.prefix} at ${options.endpoint}`,
  name: `oss ${bucketOf(options.store)}/${options.prefix}`,
  settings: options.settings,
  serves: [],
  ...(options.warmUp && { warmUp: options.warmUp }),
  reachedThrough: options.reachedThrough,
  justBound: options.justBound,
  observe: (_ids, signal) => observe(options, signal),
  plan: (bundle, circumstances) => {
    const { archive, latest } = layout(bundle, options.prefix)
    const place = `${options.store.name}/${options.prefix}`
    const writer = new LayoutWriter(options, bundle, circumstances)
    const { exposed } = options
    return [
      {
        id: 'archive',
        does: `archive ${archive.length} files under ${place}${archiveName(bundle)}/`,
        run: (signal) => writer.writeArchive(archive, latest, signal),
      },
      {
        id: 'latest',
        does: `update ${place}latest/`,
        run: (signal) => writer.writeLatest(latest, signal),
      },
      ...(exposed === undefined
        ? []
        : [
            {
              id: 'private',
              does: `see that nobody else can read ${place}latest/`,
              run: async (signal: AbortSignal) =>
                requirePrivate(place, await exposed(keyOf(latest, manifestFile), circumstances.others, signal)),
            },
          ]),
    ]
  },
})

const bucketOf = ({ name }: ObjectStore): string => name.slice('oss://'.length)

const keyOf = (latest: readonly StoredObject[], file: string): string => latest.find(isFile(file))?.key ?? ''

const observe = async ({ store, prefix, settings }: OssLayoutOptions, signal: AbortSignal): Promise<Observed> => {
  const look = await store.read(`${prefix}${latestFolder}/${leafFile}`, signal)
  if (look.status === 'refused') return { status: 'refused' }
  const leaf = look.status === 'found' ? firstCertificate(look.value) : undefined
  const place = `${settings['bucket']}/${prefix}${latestFolder}/`
  return { status: 'found', places: [{ place, certificate: leaf && toStanding(leaf) }] }
}

/** @throws CertError LAYOUT_IS_PUBLIC */
const requirePrivate = (place: string, { open, silent, unknown }: Openness): Outcome => {
  if (open.length === 0) {
    const warnings = [
      ...silent.map(
        (host) => `${host} does not answer, so it is not known whether strangers can read ${place}latest/ through it`,
      ),
      ...unknown.map((what) => `${what}, so it is not known whether strangers can read ${place}latest/ through them`),
    ]
    const note = warnings.length === 0 ? 'strangers are refused' : 'strangers are refused where they could be tried'
    return { status: 'unchanged', note, warnings }
  }
  throw new CertError('LAYOUT_IS_PUBLIC', `${place}latest/ can be read by anybody through ${open.join(', ')}`, {
    hint: 'make the bucket private, keep CDN from fetching this prefix from a private bucket, or use another bucket; then have the certificate issued anew with a new key, for this one may be known',
  })
}

const leafFile = 'cert.pem'
const chainFile = 'fullchain.pem'
const manifestFile = 'README.md'
const isFile = (name: string) => (object: StoredObject) => object.key.endsWith(`/${name}`)

/** One run's knowledge of the place: what stands in `latest/`, and whether single objects can be protected. */
class LayoutWriter {
  readonly #options: OssLayoutOptions
  readonly #bundle: CertificateBundle
  readonly #circumstances: Circumstances
  readonly #warnings: string[] = []
  #leafInPlace: Promise<Look<string>> | undefined
  #protects = true

  constructor(options: OssLayoutOptions, bundle: CertificateBundle, circumstances: Circumstances) {
    this.#options = options
    this.#bundle = bundle
    this.#circumstances = circumstances
  }

  async writeArchive(
    archive: readonly StoredObject[],
    latest: readonly StoredObject[],
    signal: AbortSignal,
  ): Promise<Outcome> {
    // Asked now because it costs nothing beside the writing; whether it failed is for the next step to find out.
    this.#readLeaf(latest, signal).catch(() => undefined)
    const written = await this.#putAll(archive, signal)
    const there = archive.filter((_object, i) => written[i] === 'exists')
    if (there.length > 0) await this.#warnOfOthers(there, latest, signal)
    const count = archive.length - there.length
    const already = archive.length - count
    return this.#outcome(
      count > 0 ? 'changed' : 'unchanged',
      already === 0
        ? undefined
        : count === 0
          ? 'already archived'
          : `${already} of ${archive.length} were there already`,
    )
  }

  /**
   * The same leaf may have been archived with another chain, and an archive is never overwritten. Where reading is not
   * permitted nothing can be said.
   */
  async #warnOfOthers(
    there: readonly StoredObject[],
    latest: readonly StoredObject[],
    signal: AbortSignal,
  ): Promise<void> {
    // What keeps it from being read is for the next step to report.
    const look = await this.#readLeaf(latest, signal).catch(() => undefined)
    if (look === undefined || look.status === 'refused') return
    const contents = await Promise.all(there.map((object) => this.#contentOf(object, signal).catch(() => 'unknown')))
    const names = there
      .filter((_object, i) => contents[i] === 'other')
      .map(({ key }) => key.slice(key.lastIndexOf('/') + 1))
    if (names.length > 0) {
      const folder = there[0]?.key.replace(/[^/]*$/, '')
      this.#warnings.push(
        `${this.#options.store.name}/${folder} was archived with other content (${names.join(', ')}) and stays as it is; latest/ is right`,
      )
    }
  }

  async writeLatest(latest: readonly StoredObject[], signal: AbortSignal): Promise<Outcome> {
    const leaf = await this.#readLeaf(latest, signal)
    const standing = leaf.status === 'found' ? firstCertificate(leaf.value) : undefined
    const stranger = strangerIn(`${this.#options.store.name}/${this.#options.prefix}latest/`, this.#bundle, standing)
    if (stranger !== undefined) this.#warnings.push(stranger)
    const newer = this.#options.allowOlder ? undefined : newerThan(this.#bundle, [standing, this.#circumstances.newest])
    if (newer !== undefined) return { ...standBack(newer), warnings: this.#warnings.splice(0) }
    if (leaf.status === 'found' && (await this.#isInPlace(latest, leaf.value, signal))) {
      return this.#outcome('unchanged', 'already there')
    }
    if (leaf.status === 'refused' || (standing !== undefined && !this.#isOurs(standing))) {
      this.#warnings.push(...(await this.#requireTrust(latest, standing, signal)))
    }
    await this.#putAll(
      latest.filter((object) => !isFile(manifestFile)(object)),
      signal,
    )
    await this.#putAll(latest.filter(isFile(manifestFile)), signal)
    return this.#outcome(
      'changed',
      leaf.status === 'refused' ? 'written without looking, since reading is not permitted' : undefined,
    )
  }

  #isOurs({ fingerprint }: Certificate): boolean {
    return fingerprint.sha256 === this.#bundle.fingerprint.sha256
  }

  /** @throws CertError CERTIFICATE_UNTRUSTED */
  #requireTrust(
    latest: readonly StoredObject[],
    standing: Certificate | undefined,
    signal: AbortSignal,
  ): Promise<string[]> {
    const { store, prefix, trust } = this.#options
    const { onRecord } = this.#circumstances
    const read = async (): Promise<string | undefined> => {
      const look = await store.read(keyOf(latest, chainFile), signal)
      return look.status === 'found' ? look.value : undefined
    }
    const ways =
      standing === undefined
        ? [async () => onRecord?.lastDone('latest')]
        : [read, recordedAs(onRecord, standing.fingerprint.sha256)]
    return requireTrust(this.#bundle, trust, { place: `${store.name}/${prefix}${latestFolder}/`, standing, ways })
  }

  #outcome(status: Outcome['status'], note?: string): Outcome {
    return { status, note, warnings: this.#warnings.splice(0) }
  }

  /** The leaf is the first that a newer run replaces, and the one file whose truth does not depend on who wrote it. */
  #readLeaf(latest: readonly StoredObject[], signal: AbortSignal): Promise<Look<string>> {
    const leaf = latest.find(isFile(leafFile)) as StoredObject
    this.#leafInPlace ??= this.#options.store.read(leaf.key, signal)
    return this.#leafInPlace
  }

  async #isInPlace(latest: readonly StoredObject[], leaf: string, signal: AbortSignal): Promise<boolean> {
    const [own, ...others] = [...latest].sort((a, b) => Number(isFile(leafFile)(b)) - Number(isFile(leafFile)(a)))
    if (own === undefined || own.body !== leaf) return false
    const contents = await Promise.all(others.map((object) => this.#contentOf(object, signal)))
    return contents.every((content) => content === 'same')
  }

  /** What stands where the object is to be, as far as it may be looked at. */
  async #contentOf(object: StoredObject, signal: AbortSignal): Promise<'same' | 'other' | 'unknown'> {
    const head = await this.#options.store.head(object.key, signal)
    if (head.status !== 'found') return 'unknown'
    const { metadata, md5 } = head.value
    const isSame =
      metadata['sha256'] === undefined
        ? md5 === digest('md5', object.body)
        : metadata['sha256'] === object.metadata['sha256']
    return isSame ? 'same' : 'other'
  }

  /** All at once; all have ended when this returns or throws, so that nothing is written behind a failure's back. */
  async #putAll(objects: readonly StoredObject[], signal: AbortSignal): Promise<('written' | 'exists')[]> {
    const results = await Promise.allSettled(
      objects.map((object) =>
        isPrivate(object) ? this.#putKey(object, signal) : this.#options.store.put(object, {}, signal),
      ),
    )
    const failed = results.filter((result) => result.status === 'rejected')
    // What cannot pass by itself tells the reader more than what may.
    const worst = failed.find(({ reason }) => reason instanceof CertError && !reason.passing) ?? failed[0]
    if (worst !== undefined) throw worst.reason
    return results.map((result) => (result.status === 'fulfilled' ? result.value : 'exists'))
  }

  async #putKey(object: StoredObject, signal: AbortSignal): Promise<'written' | 'exists'> {
    const { store, allowPublicBucket } = this.#options
    if (this.#protects) {
      try {
        return await store.put(object, { ownerOnly: true }, signal)
      } catch (error) {
        if (!isAclRefused(error)) throw error
        this.#protects = false
      }
    }
    const exposure = await store.exposure(signal)
    const { way, unknown } =
      exposure === 'public'
        ? { way: `${store.name} can be read by anybody`, unknown: [] }
        : await this.#openedBy(signal)
    if (way !== undefined && !allowPublicBucket) {
      throw new CertError('KEY_WOULD_BE_PUBLIC', `${way}, and the private key was not written to it`, {
        hint: 'grant oss:PutObjectAcl so that the key can be protected by itself, make the bucket private, or use another bucket; --allow-public-bucket writes it all the same',
      })
    }
    const result = await store.put(object, {}, signal)
    this.#warnExposed(exposure)
    for (const name of unknown) {
      this.#warn(
        `the private key has no access rule of its own (oss:PutObjectAcl is not granted), and whether ${name} serves the objects of ${store.name} may not be looked up`,
      )
    }
    return result
  }

  /** Other targets of the same deployment that have the bucket's objects served under a domain, or may have. */
  async #openedBy(signal: AbortSignal): Promise<{ readonly way: string | undefined; readonly unknown: string[] }> {
    const { store } = this.#options
    const unknown: string[] = []
    for (const other of this.#circumstances.others) {
      const opening = await other.opens?.(bucketOf(store), signal)
      if (opening?.opens === 'yes') return { way: `${other.name} serves the objects of ${store.name}`, unknown }
      if (opening?.opens === 'unknown') unknown.push(other.name)
    }
    return { way: undefined, unknown }
  }

  #warnExposed(exposure: 'public' | 'private' | 'unknown'): void {
    const { name } = this.#options.store
    const warning = {
      public: `${name} can be read by anybody, and with it the private key (--allow-public-bucket)`,
      unknown: `the private key has no access rule of its own (oss:PutObjectAcl is not granted), and whether ${name} is private cannot be read`,
      private: undefined,
    }[exposure]
    if (warning !== undefined) this.#warn(warning)
  }

  #warn(warning: string): void {
    if (!this.#warnings.includes(warning)) this.#warnings.push(warning)
  }
}

/** A right that is missing, or a service that has no access rules for single objects. */
const isAclRefused = (error: unknown): boolean =>
  error instanceof CertError && ['AccessDenied', 'NotImplemented'].includes(error.vendor?.code ?? '')
