import { canonicalName, isWildcard } from '../certificate/names.js'
import { CertError } from '../errors.js'
import type { HostProof } from '../proof/look.js'
import { waitUntilServed } from '../proof/wait-until-served.js'
import { defineCommand, exitCodes } from './command.js'
import { commonFlags } from './common-flags.js'
import { type Flag, text, wholeNumber } from './flag.js'
import { printJson } from './json.js'
import { proofFlags } from './proof-flags.js'
import { hostJson, labelOf, showProof } from './show-proof.js'
import { Terminal, wantsColor } from './terminal.js'

const fingerprint = text('SHA-256 of the certificate that ought to be served, with or without colons', {
  placeholder: 'FINGERPRINT',
})
const expectSha256: Flag<string | undefined> = {
  ...fingerprint,
  read: (given, name) => {
    const value = fingerprint.read(given, name)
    if (value === undefined) return undefined
    if (/^[0-9a-f]{64}$/i.test(value) || /^([0-9a-f]{2}:){31}[0-9a-f]{2}$/i.test(value)) {
      return value.replaceAll(':', '').toLowerCase()
    }
    throw new CertError('USAGE', `--${name} takes 64 hexadecimal digits, not "${value}"`, {
      hint: 'openssl x509 -in cert.pem -noout -fingerprint -sha256 prints them behind the = sign',
    })
  },
}

export const command = defineCommand({
  name: 'verify',
  summary:
    'Looks at what hosts serve over HTTPS, at each of their addresses, and explains what is wrong. Exit status 1 where a host does not serve what it ought to.',
  flags: {
    'expect-sha256': expectSha256,
    ...proofFlags,
    timeout: wholeNumber('seconds for one handshake', { min: 1, max: 600, fallback: 10 }),
    'verify-timeout': wholeNumber('seconds to go on looking until every host serves it; 0 is one look', {
      min: 0,
      max: 86_400,
      fallback: 0,
    }),
    ...commonFlags,
  },
  words: { usage: 'HOST[:PORT]...', least: 1, most: Number.POSITIVE_INFINITY },
  examples: [
    ['acme-oss verify static.example.com www.example.com', 'what browsers will see'],
    [
      'acme-oss verify static.example.com --connect 192.0.2.7:443 --verify-timeout 600',
      'one server, before DNS leads there',
    ],
  ],
  run: async (values, surroundings, { words }) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    const wanted = new Map(words.map(readHost).map((one) => [`${one.host} ${one.port}`, one]))
    const limit = values['verify-timeout'] * 1000
    const proofs = await Promise.all(
      [...wanted.values()].map(({ host, port }) => {
        const tell = progressOf(terminal, limit)
        return lastLook((onLook) =>
          waitUntilServed(host, {
            port,
            limit,
            onLook: (proof) => {
              onLook(proof)
              tell(proof)
            },
            expectation: { sha256: values['expect-sha256'] },
            connect: values.connect,
            nameServer: values['dns-resolver'],
            timeout: values.timeout * 1000,
            now: surroundings.now,
            signal: surroundings.signal,
          }),
        )
      }),
    )
    const ok = proofs.every(({ served }) => served)
    if (values.json) terminal.result(printJson(resultJson(proofs, ok)))
    else for (const proof of proofs) showProof(terminal, proof)
    return ok ? exitCodes.done : exitCodes.failed
  },
})

/** What was seen last, be it served or not. */
const lastLook = async (look: (onLook: (proof: HostProof) => void) => Promise<HostProof>): Promise<HostProof> => {
  let last: HostProof | undefined
  try {
    return await look((proof) => {
      last = proof
    })
  } catch (error) {
    if (last === undefined || !(error instanceof CertError) || error.code !== 'NOT_SERVED') throw error
    return last
  }
}

/** Says only what has changed since the look before. */
const progressOf = (terminal: Terminal, limit: number): ((proof: HostProof) => void) => {
  let said = ''
  return (proof) => {
    if (limit === 0) return
    const label = labelOf(proof)
    const now = proof.served ? `${label} is served` : `${label} is not served yet: ${proof.problem?.sentence ?? ''}`
    if (now !== said) terminal.progress(now)
    said = now
    if (proof.served) terminal.stop(`waiting for ${label}`)
    else terminal.start(`waiting for ${label}`)
  }
}

/** @throws CertError USAGE */
const readHost = (word: string): { readonly host: string; readonly port: number } => {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(word) || word.includes('/')) {
    const host = URL.canParse(word) ? new URL(word).host : (word.split('/')[0] ?? '')
    throw new CertError('USAGE', `"${word}" is a URL, not a host`, {
      hint: host === '' ? 'give the host alone, such as www.example.com' : `acme-oss verify ${host}`,
    })
  }
  const [, bracketed, plain = word, digits] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(word) ?? []
  const host = canonicalName(bracketed === undefined ? plain : `[${bracketed}]`)
  const port = Number(digits ?? 443)
  if (host !== undefined && isWildcard(host)) {
    throw new CertError('USAGE', `nobody can connect to ${host}: a wildcard is no host`, {
      hint: `name a host that it covers, such as www${host.slice(1)}`,
    })
  }
  if (host === undefined || port < 1 || port > 65_535) {
    throw new CertError('USAGE', `"${word}" is no host`, {
      hint: 'give a name or an address, with a port if it is not 443: www.example.com, www.example.com:8443, [::1]:8443',
    })
  }
  return { host, port }
}

const resultJson = (proofs: readonly HostProof[], ok: boolean) => ({
  schema: 'acme-oss/1',
  command: 'verify',
  ok,
  hosts: proofs.map(hostJson),
  warnings: proofs.flatMap((proof) => proof.warnings.map((warning) => `${labelOf(proof)}: ${warning}`)),
  error: null,
})
