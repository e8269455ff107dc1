import { createHash } from 'node:crypto'
import { version } from '../version.js'
import type { AccountConfig, CertificateConfig, Config } from './config.js'
import type { TargetOptions } from './schema.js'
import type { YamlSource } from './yaml-file.js'

/** Somewhere to keep what a configuration was found to say. It is never needed: neither of them ever throws. */
export interface ConfigCache {
  read(key: string): Promise<string | undefined>
  write(key: string, text: string): Promise<void>
}

// Counts up whenever the same file would be read otherwise than before within one version.
const form = 2

/** All that the result depends on: the file, where it lies (its paths are relative to that), and who reads it. */
export const cacheKey = (
  { path, bytes }: Pick<YamlSource, 'path' | 'bytes'>,
  targets: TargetOptions,
  reader = version,
): string =>
  createHash('sha256')
    .update(JSON.stringify([form, reader, path, targets]))
    .update(bytes)
    .digest('hex')

type Kept = Pick<Config, 'account' | 'certificates' | 'alerts'>

/** Behind the sum of it, so that what was cut short or touched by hand is not taken. */
export const toCache = ({ account, certificates, alerts }: Kept): string => {
  const text = JSON.stringify({ account, certificates, alerts })
  return `${sumOf(text)}\n${text}\n`
}

/** Undefined where that is nothing, or not what was kept. */
export const fromCache = (content = ''): Kept | undefined => {
  const sum = content.slice(0, content.indexOf('\n'))
  const text = content.slice(sum.length + 1, -1)
  if (sum !== sumOf(text)) return undefined
  const { account, certificates, alerts } = JSON.parse(text) as KeptText
  return {
    account: { ...account, email: account.email },
    certificates: certificates.map((one) => ({ ...one, issue: one.issue })),
    alerts,
  }
}

/** JSON leaves out what is undefined. */
interface KeptText {
  readonly account: Omit<AccountConfig, 'email'> & Partial<AccountConfig>
  readonly alerts?: Config['alerts']
  readonly certificates: readonly (Omit<CertificateConfig, 'issue'> & Partial<CertificateConfig>)[]
}

const sumOf = (text: string): string => createHash('sha256').update(text).digest('hex')
