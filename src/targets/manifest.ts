import { archiveName, type CertificateBundle } from '../certificate/bundle.js'

const home = 'https://www.npmjs.com/package/acme-oss'

const conversions: readonly [keyType: string, form: string, command: string][] = [
  ['RSA', 'PKCS#1 (`BEGIN RSA PRIVATE KEY`)', 'openssl rsa -in privkey.pem -traditional -out privkey-pkcs1.pem'],
  ['EC', 'SEC1 (`BEGIN EC PRIVATE KEY`)', 'openssl ec -in privkey.pem -out privkey-sec1.pem'],
]

/**
 * The README.md of a certificate: for machines the YAML block at its head, for people the rest. It says nothing of
 * the clock, the host or the version that wrote it, so that the same certificate always gives the same bytes.
 * @param sums SHA-256 of each of the other files, hexadecimal
 */
export const manifest = (bundle: CertificateBundle, sums: ReadonlyMap<string, string>): string => {
  const archive = archiveName(bundle)
  return [
    '---',
    `archive: ${archive}`,
    'names:',
    ...bundle.names.map((name) => `  - ${JSON.stringify(name)}`),
    ...(bundle.names.length === 0 ? ['  []'] : []),
    `notBefore: ${JSON.stringify(bundle.notBefore.toISOString())}`,
    `notAfter: ${JSON.stringify(bundle.notAfter.toISOString())}`,
    'sha256:',
    ...[...sums].map(([file, sum]) => `  ${file}: ${JSON.stringify(sum)}`),
    '---',
    '',
    `# TLS certificate of ${asText(bundle.names[0] ?? bundle.name)}`,
    '',
    '| | |',
    '|---|---|',
    row('Names', bundle.names.map(code).join(', ')),
    row('Issuer', asText(bundle.issuer)),
    row('Serial number', code(bundle.serial)),
    row('Valid from', bundle.notBefore.toISOString()),
    row('Valid until', bundle.notAfter.toISOString()),
    row('SHA-1 fingerprint', code(bundle.fingerprint.sha1)),
    row('SHA-256 fingerprint', code(bundle.fingerprint.sha256)),
    row('Key', bundle.keyType),
    row('Archive', code(`${archive}/`)),
    '',
    '| File | What is in it |',
    '|---|---|',
    row('`cert.pem`', 'the certificate alone'),
    row('`privkey.pem`', 'its private key, PKCS#8 (`BEGIN PRIVATE KEY`)'),
    row('`chain.pem`', 'the intermediate certificates, without the root'),
    row('`fullchain.pem`', 'the certificate and its intermediates, as servers are configured with'),
    '',
    ...(conversions.find(([type]) => bundle.keyType.startsWith(type)) ?? [])
      .slice(1)
      .map((part, i) => (i === 0 ? `For software that takes ${part} only:\n` : `    ${part}\n`)),
    'The archive folder named above never changes. `latest/` always holds the newest certificate, and this file is',
    'written last there: a reader that finds its sums to be those of the other files has a whole set.',
    '',
    `Written by [acme-oss](${home}).`,
    '',
  ].join('\n')
}

const row = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`
const code = (text: string): string => `\`${text.replaceAll('`', "'")}\``
/** Names come from certificates, which anybody can make: nothing in them may act as Markdown. */
const asText = (text: string): string => text.replace(/[\\`*_{}[\]()<>#+!|~&-]/g, (character) => `\\${character}`)
