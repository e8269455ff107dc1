import { CertError } from '../errors.js'
import { readManifestOf } from './layout-reader.js'
import type { LayoutSource } from './layout-source.js'
import type { Manifest } from './read-manifest.js'

/** What an archive says of itself. */
export interface ArchiveFacts {
  readonly archive: string
  /** Undefined where it could not be read, or is no manifest of this archive. */
  readonly manifest: Manifest | undefined
  /** Why there is none, behind the archive's name: `has no README.md`. */
  readonly why: string | undefined
  /** It may not be read, which says nothing of what it is. */
  readonly refusal: CertError | undefined
  /** For people, as far as it says. */
  readonly issuer: string | undefined
  readonly keyType: string | undefined
  /** Of the leaf, hexadecimal, lower case. */
  readonly sha1: string | undefined
  readonly sha256: string | undefined
}

/**
 * Looks at the README.md of one archive. What is wrong with it is an answer.
 * @throws CertError CLOUD_UNAVAILABLE, CREDENTIALS_MISSING, INTERRUPTED
 */
export const archiveFacts = async (
  source: LayoutSource,
  archive: string,
  signal: AbortSignal,
): Promise<ArchiveFacts> => {
  try {
    const manifest = await readManifestOf(source, archive, signal)
    if (manifest.archive !== archive) return without(archive, `has the README.md of ${manifest.archive}`)
    return {
      archive,
      manifest,
      why: undefined,
      refusal: undefined,
      issuer: row(manifest, 'Issuer'),
      keyType: row(manifest, 'Key'),
      sha1: hex(manifest, 'SHA-1 fingerprint', 40),
      sha256: hex(manifest, 'SHA-256 fingerprint', 64),
    }
  } catch (error) {
    if (!(error instanceof CertError)) throw error
    if (error.code === 'LAYOUT_MISSING') return without(archive, 'has no README.md')
    if (error.code === 'LAYOUT_INVALID') return without(archive, 'has a README.md that acme-oss did not write')
    if (['CLOUD_REFUSED', 'FILE_UNREADABLE'].includes(error.code)) return without(archive, 'may not be read', error)
    throw error
  }
}

const without = (archive: string, why: string, refusal?: CertError): ArchiveFacts => ({
  archive,
  manifest: undefined,
  why,
  refusal,
  issuer: undefined,
  keyType: undefined,
  sha1: undefined,
  sha256: undefined,
})

/** A row of the table for people, as it was before Markdown; control characters are for nobody. */
const row = ({ text }: Manifest, name: string): string | undefined =>
  new RegExp(`^\\| ${name} \\| (.+) \\|$`, 'm')
    .exec(text)?.[1]
    ?.replace(/\\(.)/g, '$1')
    .replace(/\p{Cc}/gu, '')

const hex = (manifest: Manifest, name: string, digits: number): string | undefined =>
  new RegExp(`^\`([0-9a-f]{${digits}})\`$`).exec(row(manifest, name) ?? '')?.[1]
