import { createHash } from 'node:crypto'
import { archiveName, type CertificateBundle, fullchain } from '../certificate/bundle.js'
import { CertError } from '../errors.js'
import type { StoredObject } from '../object-store.js'
import { Secret } from '../secret.js'
import { manifest } from './manifest.js'

/** The five files of one certificate, by name. */
export interface LayoutFiles {
  readonly 'cert.pem': string
  readonly 'privkey.pem': Secret
  readonly 'chain.pem': string
  readonly 'fullchain.pem': string
  readonly 'README.md': string
}

export interface Layout {
  /** Under `<prefix><date>_<sha1>/`: in any order, all at once; never overwritten. */
  readonly archive: readonly StoredObject[]
  /** Under `<prefix>latest/`: the four PEM files first, `README.md` after them. */
  readonly latest: readonly StoredObject[]
}

export const latestFolder = 'latest'

const contentTypes = { pem: 'application/x-pem-file', md: 'text/markdown; charset=utf-8' } as const

/**
 * What a certificate looks like in the layout. A pure function of the bundle: the same certificate always gives the
 * same bytes, so that writing it again changes nothing.
 */
export const layoutFiles = (bundle: CertificateBundle): LayoutFiles => {
  const pems = {
    'cert.pem': bundle.leaf,
    'privkey.pem': bundle.privateKey,
    'chain.pem': bundle.chain,
    'fullchain.pem': fullchain(bundle),
  }
  const sums = Object.entries(pems).map(([file, body]) => [file, sha256(body)] as const)
  return { ...pems, 'README.md': manifest(bundle, new Map(sums)) }
}

/** @param prefix as `keyPrefix` returns it */
export const layout = (bundle: CertificateBundle, prefix: string): Layout => {
  const archive = archiveName(bundle)
  const files: [string, string | Secret][] = Object.entries(layoutFiles(bundle))
  const object = (folder: string, file: string, body: string | Secret): StoredObject => ({
    key: `${prefix}${folder}/${file}`,
    body,
    contentType: file.endsWith('.md') ? contentTypes.md : contentTypes.pem,
    cacheControl: folder === latestFolder ? 'no-cache' : undefined,
    metadata: {
      archive,
      sha256: sha256(body),
      'not-before': bundle.notBefore.toISOString(),
      'not-after': bundle.notAfter.toISOString(),
    },
    write: folder === latestFolder ? 'replace' : 'create',
  })
  return {
    archive: files.map(([file, body]) => object(archive, file, body)),
    latest: files.map(([file, body]) => object(latestFolder, file, body)),
  }
}

/** Does this object hold the private key? */
export const isPrivate = (object: StoredObject): boolean => object.body instanceof Secret

/** Hexadecimal, lower case. */
export const sha256 = (body: string | Secret): string => digest('sha256', body)

export const digest = (algorithm: 'md5' | 'sha256', body: string | Secret): string =>
  createHash(algorithm)
    .update(typeof body === 'string' ? body : body.reveal())
    .digest('hex')

// OSS allows 1023 bytes; the longest that is put behind a prefix is a little over 30.
const longestPrefix = 980

/**
 * The prefix as it stands before every key: with a slash at its end, or empty.
 * @throws CertError USAGE
 */
export const keyPrefix = (prefix: string): string => {
  const refuse = (why: string): never => {
    throw new CertError('USAGE', `the prefix "${prefix}" ${why}`, { hint: 'such as --prefix certs/example.com/' })
  }
  if (prefix.startsWith('/') || prefix.startsWith('\\')) refuse('begins with a slash, which no object key may')
  const bare = prefix.replace(/\/+$/, '')
  if (bare === '') return ''
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is looked for
  if (/[\u0000-\u001f\u007f\\]/.test(bare)) refuse('has a character in it that does not belong into an object key')
  if (bare.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    refuse('has an empty part, "." or ".." in it')
  }
  if (Buffer.byteLength(bare) > longestPrefix) refuse(`is longer than ${longestPrefix} bytes`)
  return `${bare}/`
}
