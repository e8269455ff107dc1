import { canonicalName } from '../certificate/names.js'
import { type CertificateConfig, type Config, certificateNamed, findCertificate } from '../config/config.js'
import { CertError } from '../errors.js'
import type { Layer } from './command.js'

interface Asked {
  readonly name: string | undefined
  readonly domain: readonly string[]
}

/**
 * What the configuration says of an order, as if it had been typed. Named by `--name` alone, an entry also says for
 * which names; where `--domain` says so, the entry of that name, of exactly those names, or of the first of them is
 * meant.
 * @throws CertError USAGE, CONFIG_INVALID
 */
export const issueLayer = (config: Config | undefined, asked: Asked): Layer => {
  if (config === undefined) return {}
  const { name, domain } = asked
  const named = (one: string | undefined) => certificateNamed(config, one)
  const entry =
    domain.length === 0
      ? named(name)
      : (findCertificate(config, name, domain) ?? named(name ?? canonicalName(domain[0] ?? '')))
  if (domain.length === 0 && name !== undefined && (entry === undefined || entry.domains.length === 0)) {
    const what = entry === undefined ? `${config.path} has no entry for` : `${config.path} has no domains for`
    throw new CertError('USAGE', `${what} ${name}`, {
      hint: 'add them below certificates:, or say with --domain for which names the certificate is to be',
    })
  }
  const issue = issueWords(entry)
  const { email, agreeTos } = config.account
  return {
    ...(email !== undefined && { email: [email] }),
    ...(agreeTos && { 'agree-tos': ['on'] }),
    ...(entry && { name: [entry.name], domain: entry.domains }),
    ...issue,
  }
}

const issueWords = (entry: CertificateConfig | undefined): Layer =>
  Object.fromEntries(
    Object.entries(entry?.issue ?? {}).map(([flag, value]) => [
      flag,
      Array.isArray(value) ? value.map(String) : [String(value)],
    ]),
  )
