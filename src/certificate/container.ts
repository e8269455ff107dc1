import { CertError } from '../errors.js'
import { readChildren, readElement, tags } from './der.js'

const utf16le = [0xff, 0xfe]
const utf16be = [0xfe, 0xff]

/**
 * A file's bytes as text in which PEM can be found. Windows shells write UTF-16; everything else keeps one character a
 * byte, so that what is not text at all can still be recognised for what it is.
 */
export const decodeText = (bytes: Buffer): string => {
  if (bytes[0] === utf16le[0] && bytes[1] === utf16le[1]) return bytes.subarray(2).toString('utf16le')
  if (bytes[0] === utf16be[0] && bytes[1] === utf16be[1]) {
    const even = Buffer.from(bytes.subarray(2, bytes.length - (bytes.length % 2)))
    return even.swap16().toString('utf16le')
  }
  return bytes.toString('latin1')
}

/**
 * Says what a text without any PEM in it is instead, when it is one of the binary forms that certificates are handed
 * around in. The hint holds the openssl line that converts it.
 * @throws CertError INPUT_IS_DER, INPUT_IS_PKCS7 or INPUT_IS_PKCS12
 */
export const refuseBinary = (text: string): void => {
  const bytes = Buffer.from(text, 'latin1')
  // PKCS#7 and PKCS#12 come as BER too, whose outermost length is left open.
  const isOpen = bytes[0] === tags.sequence && bytes[1] === 0x80
  const outer = isOpen ? { tag: tags.sequence, start: 2, end: bytes.length } : readElement(bytes, 0)
  if (outer === undefined || outer.tag !== tags.sequence) return
  const inside = readChildren(bytes, outer)
  const [first, second, third] = inside.map((element) => element.tag)
  if (first === tags.oid) refuse('INPUT_IS_PKCS7', 'PKCS#7 (DER)', pkcs7('-inform DER '))
  if (first === tags.integer && bytes[(inside[0]?.end ?? 0) - 1] === 3) {
    refuse('INPUT_IS_PKCS12', 'PKCS#12', 'openssl pkcs12 -in FILE -nodes -out certificate-and-key.pem')
  }
  if (first === tags.integer) refuse('INPUT_IS_DER', 'a private key in DER', der('pkey'))
  if (first === tags.sequence && second === tags.octetString) {
    refuse('INPUT_IS_DER', 'an encrypted private key in DER', der('pkey'))
  }
  if (first === tags.sequence && third === tags.bitString) refuse('INPUT_IS_DER', 'a certificate in DER', der('x509'))
}

/** The same for PKCS#7 that is armoured as PEM. */
export const refusePkcs7 = (): never => refuse('INPUT_IS_PKCS7', 'PKCS#7', pkcs7(''))

const pkcs7 = (form: string): string => `openssl pkcs7 ${form}-in FILE -print_certs -out certificates.pem`
const der = (command: string): string => `openssl ${command} -inform DER -in FILE -out file.pem`

const refuse = (code: 'INPUT_IS_DER' | 'INPUT_IS_PKCS7' | 'INPUT_IS_PKCS12', what: string, command: string): never => {
  throw new CertError(code, `the input is ${what}, and PEM is needed`, { hint: `convert it with: ${command}` })
}
