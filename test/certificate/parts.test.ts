// The pieces that normalize() is made of, each by itself.
import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import t from 'tap'
import { archiveName, type CertificateBundle, fullchain } from '../../src/certificate/bundle.js'
import { decodeText, refuseBinary, refusePkcs7 } from '../../src/certificate/container.js'
import { type Element, isWholeSequence, readChildren, readElement } from '../../src/certificate/der.js'
import { materialLimit } from '../../src/certificate/material.js'
import { type PemBlock, readPem, writePem } from '../../src/certificate/pem.js'
import { isKeyLabel, keyType, readPrivateKey, toPkcs8, toTraditional } from '../../src/certificate/private-key.js'
import { signingRequest } from '../../src/certificate/signing-request.js'
import { firstCertificate, readCertificate } from '../../src/certificate/x509.js'
import { CertError } from '../../src/errors.js'
import { Secret } from '../../src/secret.js'
import { generateKey, type KeyKind, keyPem, mintAuthority, mintLeaf, pemOf, rsaKey } from '../mint.js'
import { fileOf, leaksOf, openssl, opensslBytes, refused } from './judge.js'

const hex = (digits: string): Buffer => Buffer.from(digits.replace(/ /g, ''), 'hex')

/** DER by hand, for what no tool would write. */
const element = (tag: number, ...content: Uint8Array[]): Buffer => {
  const body = Buffer.concat(content)
  const digits = body.length.toString(16)
  const length = body.length < 0x80 ? [] : [...hex(digits.padStart(digits.length + (digits.length % 2), '0'))]
  return Buffer.concat([Buffer.from([tag, length.length > 0 ? 0x80 + length.length : body.length, ...length]), body])
}
const integer = (value: bigint): Buffer => {
  const digits = value.toString(16)
  const bytes = hex(digits.padStart(digits.length + (digits.length % 2), '0'))
  return element(0x02, (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([hex('00'), bytes]) : bytes)
}
const sequence = (...content: Uint8Array[]): Buffer => element(0x30, ...content)

const block = (label: string, der: Buffer, encrypted = false): PemBlock => ({ label, der, encrypted, line: 7 })
const readKey = (pem: string): KeyObject => {
  const [first] = readPem(pem, isKeyLabel)
  if (first === undefined) throw new TypeError('no key in it')
  return readPrivateKey(first)
}

// --- der ---

t.test('elements of DER', async (t) => {
  const read = (bytes: Buffer, offset = 0): [number, number, number] | undefined => {
    const found = readElement(bytes, offset)
    return found && [found.tag, found.start, found.end]
  }
  t.same(read(hex('0500')), [5, 2, 2])
  t.same(read(hex('02010a')), [2, 2, 3])
  t.same(read(hex('ffff02010a'), 2), [2, 4, 5], 'from an offset')
  t.same(read(hex('02010affff')), [2, 2, 3], 'with something behind it')
  for (const length of [0, 127, 128, 255, 256, 65_535, 65_536]) {
    const bytes = element(0x04, Buffer.alloc(length))
    t.same(read(bytes), [4, bytes.length - length, bytes.length], `${length} bytes`)
    if (length > 0) t.equal(read(bytes.subarray(0, -1)), undefined, 'cut off')
  }
  for (const cut of ['', '30', '3081', '308201', '30840000', '3001', '308105', '3082ffff00']) {
    t.equal(read(hex(cut)), undefined, `cut off: ${cut}`)
  }
  t.equal(read(hex('3080 020101 0000')), undefined, 'an indefinite length is BER')
  t.equal(read(hex('30850000000003 020101')), undefined, 'five bytes of length')
  t.equal(read(hex('30ff')), undefined)
  t.equal(read(hex('3084ffffffff 00')), undefined, '4 GiB that are not there')
  t.equal(read(hex('0500'), 2), undefined, 'behind the end')
  t.equal(read(hex('0500'), -1), undefined)
  t.equal(read(hex('308103 020101')), undefined, 'a length that is not minimal is BER')
  t.equal(read(hex('30820003 020101')), undefined, 'the same with two bytes')
})

t.test('children', async (t) => {
  const children = (bytes: Buffer): number[] => {
    const outer = readElement(bytes, 0)
    return outer === undefined ? [] : readChildren(bytes, outer).map(({ tag }) => tag)
  }
  t.same(children(hex('3000')), [])
  t.same(children(hex('3007 020101 0402aabb')), [2, 4])
  t.same(children(hex('3005 020101 0402aabb')), [2], 'one that is longer than its parent')
  t.same(children(hex('3004 020101 04')), [2], 'half a one')
  t.same(children(sequence(integer(1n), sequence(integer(2n)), integer(3n))), [2, 48, 2], 'not their children')
})

t.test('a whole sequence', async (t) => {
  t.ok(isWholeSequence(hex('3000')))
  t.ok(isWholeSequence(hex('3003020101')))
  for (const not of ['', '30', '0500', '3103020101', '300302010100', '3004020101', '003003020101']) {
    t.notOk(isWholeSequence(hex(not)), not)
  }
})

// --- pem ---

t.test('blocks in a text', async (t) => {
  const [one, two] = ['AQID', 'BAUG'].map(
    (base64) => `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----`,
  )
  const other = '-----BEGIN X-----\n!\n-----END X-----'
  const read = (text: string): string[] =>
    readPem(text, (label) => label !== 'X').map(({ line, der, label }) => `${line} ${label} ${der.toString('hex')}`)
  const cases: Record<string, [string, string[]]> = {
    nothing: ['', []],
    'no block': ['no -----BEGIN here\n-----\n-----END CERTIFICATE-----\n', []],
    one: [`${one}\n`, ['1 CERTIFICATE 010203']],
    'without a last line break': [`${one}`, ['1 CERTIFICATE 010203']],
    two: [`${one}\n${two}\n`, ['1 CERTIFICATE 010203', '4 CERTIFICATE 040506']],
    'glued together': [`${one}${two}${one}`, ['1 CERTIFICATE 010203', '3 CERTIFICATE 040506', '5 CERTIFICATE 010203']],
    'with text between': [`a\nb ${one} c\n\n${two}d`, ['2 CERTIFICATE 010203', '6 CERTIFICATE 040506']],
    'CRLF and a BOM': [
      `\ufeff${one}\r\n${two}`.replace(/\r?\n/g, '\r\n'),
      ['1 CERTIFICATE 010203', '4 CERTIFICATE 040506'],
    ],
    'CR alone': [`${one}\n`.replaceAll('\n', '\r'), ['1 CERTIFICATE 010203']],
    'white space everywhere': [`${one}`.replace('AQID', ' A\tQ \n\n\f I\u00a0D\n \n'), ['1 CERTIFICATE 010203']],
    'no line breaks at all': [`${one}`.replaceAll('\n', ''), ['1 CERTIFICATE 010203']],
    'what is not wanted': [`${other}\n${one}\n${other}\n`, ['4 CERTIFICATE 010203']],
    'what is not wanted and has no end': [`-----BEGIN X-----\n${one}`, ['2 CERTIFICATE 010203']],
    'headers that say nothing of encryption': [
      `${one}`.replace('AQID', 'Comment: a\nX-More: b,\n c\n\nAQID'),
      ['1 CERTIFICATE 010203'],
    ],
    'markers with nothing in them': [`-----BEGIN -----\n-----BEGIN\n-----BEGIN ------${one}`, ['3 CERTIFICATE 010203']],
    'a label in small letters': [`${one}`.toLowerCase(), []],
    'a label that is no label': [`-----BEGIN ${'A'.repeat(65)}-----\n-----BEGIN A_B-----\n`, []],
    'a marker at the very end': [`${one}-----BEGIN `, ['1 CERTIFICATE 010203']],
  }
  for (const [about, [text, expected]] of Object.entries(cases)) t.same(read(text), expected, about)
})

t.test('blocks that cannot be read', async (t) => {
  const begin = '-----BEGIN CERTIFICATE-----'
  const end = '-----END CERTIFICATE-----'
  const cases: Record<string, [string, number]> = {
    'no end': [`\n${begin}\nAQID\n`, 2],
    'the end of another': [`${begin}\nAQID\n-----END PRIVATE KEY-----\n`, 1],
    'half an end': [`${begin}\nAQID\n-----END CERTIFICATE---`, 1],
    'cut off before the next one': [`${begin}\nAQ\n${begin}\nAQID\n${end}\n`, 1],
    'cut off before one that is not wanted': [`${begin}\nAQ\n-----BEGIN X-----\n${end}\n`, 1],
    'nothing in it': [`a\nb\n${begin}\n${end}\n`, 3],
    'white space in it': [`${begin}\n \r\n\t\n${end}\n`, 1],
    'a hole in it': [`${begin}\nAQI\n${end}\n`, 1],
    'padding in the middle': [`${begin}\nAQ==AQID\n${end}\n`, 1],
    'too much padding': [`${begin}\nA===\n${end}\n`, 1],
    'only padding': [`${begin}\n====\n${end}\n`, 1],
    'an alphabet of its own': [`${begin}\nAQ-_\n${end}\n`, 1],
    'a line of something else': [`${begin}\nAQID\n...\nAQID\n${end}\n`, 1],
    'no ASCII': [`${begin}\nAQ\u0130D\n${end}\n`, 1],
    'a header without an end': [`${begin}\nComment: a\nAQID\n${end}\n`, 1],
  }
  for (const [about, [text, line]] of Object.entries(cases)) {
    const hint = /end|cut off/.test(about) && !about.startsWith('a header') ? /-----END CERTIFICATE-----/ : /fetch/
    const error = refused(t, 'PEM_UNREADABLE', () => readPem(text, (label) => label !== 'X'), about, hint)
    t.match(error.message, new RegExp(`CERTIFICATE block in line ${line} `))
  }
})

t.test('the old way to say that a key is encrypted', async (t) => {
  const pem = keyPem(generateKey('ec256'), 'legacy-encrypted')
  const encrypted = (text: string): boolean[] => readPem(text, isKeyLabel).map((one) => one.encrypted)
  t.same(encrypted(pem), [true])
  t.same(encrypted(pem.replaceAll('\n', '\r\n')), [true], 'CRLF')
  t.same(encrypted(pem.replace('Proc-Type: 4,', 'proc-type:4 , ')), [true], 'another spelling')
  t.same(encrypted(pem.replace('Proc-Type', 'Comment: a\nProc-Type')), [true], 'not the first header')
  t.same(encrypted(pem.replace('4,ENCRYPTED', '4,MIC-CLEAR')), [false], 'signed only')
})

t.test('headers as long as the input may be come to an end', async (t) => {
  const headers = `Proc-Type:${'\r'.repeat(150_000)}\n\n`
  const begun = performance.now()
  const [one] = readPem(`-----BEGIN PRIVATE KEY-----\n${headers}AQID\n-----END PRIVATE KEY-----\n`, isKeyLabel)
  // Milliseconds, unless something is quadratic in the white space; then it is minutes for 1 MiB.
  t.ok(performance.now() - begun < 5_000, 'white space in a header')
  t.equal(one?.encrypted, false)
  for (const filler of ['\n', ' ', '\n ', '-----BEGIN ', '-----BEGIN A-----', 'A:', '-', '-----END A-----']) {
    const text = filler.repeat(materialLimit / filler.length)
    for (const around of [text, `-----BEGIN A-----${text}-----END A-----`, `-----BEGIN A-----\nB: ${text}`]) {
      try {
        readPem(around, () => true)
      } catch {
        // Refused or not: it came to an end.
      }
    }
  }
})

t.test('PEM as we write it', async (t) => {
  const { pem, der } = await mintLeaf({ names: ['a.test'] })
  t.equal(writePem('CERTIFICATE', der), pem)
  t.equal(writePem('CERTIFICATE', der), openssl('x509', '-in', fileOf(pem)), 'as openssl does')
  for (const length of [1, 47, 48, 49, 95, 96, 97]) {
    const bytes = Buffer.alloc(length, length)
    const written = writePem('A B', bytes)
    t.match(written, /^-----BEGIN A B-----\n([^\n]{64}\n)*[^\n]{1,64}\n-----END A B-----\n$/)
    t.same(readPem(written, () => true)[0]?.der, bytes, `${length} bytes there and back`)
  }
  t.equal(writePem('X', new Uint8Array()), '-----BEGIN X-----\n-----END X-----\n')
})

// --- container ---

t.test('bytes as text', async (t) => {
  const text = '-----BEGIN X-----\nAQID\n-----END X-----\n'
  const little = Buffer.from(`\ufeff${text}`, 'utf16le')
  const big = Buffer.from(little).swap16()
  t.equal(decodeText(Buffer.from(text)), text)
  t.equal(decodeText(little), text, 'as PowerShell writes it')
  t.equal(decodeText(big), text, 'the other way round')
  t.equal(decodeText(little.subarray(0, -1)), text.slice(0, -1), 'half a character is dropped')
  t.equal(decodeText(big.subarray(0, -1)), text.slice(0, -1))
  t.equal(decodeText(Buffer.alloc(0)), '')
  t.equal(decodeText(hex('fffe')), '')
  t.equal(decodeText(hex('feff')), '')
  t.equal(decodeText(hex('ff')), 'ÿ')
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  t.same(Buffer.from(decodeText(bytes), 'latin1'), bytes, 'all else stays what it is, byte for byte')
  const copy = Buffer.from(big)
  decodeText(copy)
  t.same(copy, big, 'the bytes themselves are left alone')
  t.equal(readPem(decodeText(Buffer.from(`\ufeff${text}`)), () => true).length, 1, 'a BOM of UTF-8 does no harm')
})

t.test('binary forms are called by their names', async (t) => {
  const { pem, der, key } = await mintLeaf({ names: ['a.test'] })
  const [certificate, ec, rsa] = [fileOf(pem), fileOf(keyPem(key, 'pkcs8')), fileOf(keyPem(rsaKey('der'), 'pkcs8'))]
  const forms: Array<[string, Buffer, 'INPUT_IS_DER' | 'INPUT_IS_PKCS7' | 'INPUT_IS_PKCS12', RegExp]> = [
    ['certificate', der, 'INPUT_IS_DER', /openssl x509 -inform DER/],
    ['PKCS#8', opensslBytes('pkey', '-in', ec, '-outform', 'DER'), 'INPUT_IS_DER', /openssl pkey -inform DER/],
    ['SEC1', opensslBytes('ec', '-in', ec, '-outform', 'DER'), 'INPUT_IS_DER', /openssl pkey -inform DER/],
    [
      'PKCS#1',
      opensslBytes('rsa', '-in', rsa, '-outform', 'DER', '-traditional'),
      'INPUT_IS_DER',
      /openssl pkey -inform DER/,
    ],
    [
      'encrypted PKCS#8',
      opensslBytes('pkcs8', '-topk8', '-in', ec, '-outform', 'DER', '-passout', 'pass:a'),
      'INPUT_IS_DER',
      /openssl pkey -inform DER/,
    ],
    [
      'PKCS#7',
      opensslBytes('crl2pkcs7', '-nocrl', '-certfile', certificate, '-outform', 'DER'),
      'INPUT_IS_PKCS7',
      /openssl pkcs7 -inform DER .*-print_certs/,
    ],
    [
      'PKCS#12',
      opensslBytes('pkcs12', '-export', '-in', certificate, '-inkey', ec, '-passout', 'pass:a'),
      'INPUT_IS_PKCS12',
      /openssl pkcs12 /,
    ],
  ]
  for (const [what, bytes, code, hint] of forms) {
    refused(t, code, () => refuseBinary(bytes.toString('latin1')), what, hint)
    refused(t, code, () => refuseBinary(`${bytes.toString('latin1')}\n`), `${what} and a line break`, hint)
    t.doesNotThrow(() => refuseBinary(bytes.subarray(0, 40).toString('latin1')), 'half of it could be anything')
  }
  refused(t, 'INPUT_IS_PKCS7', refusePkcs7, 'PKCS#7 in PEM', /openssl pkcs7 -in FILE -print_certs/)
  const innocent = [
    ...['', '0', '00', 'text', '0\u0003abc'],
    opensslBytes('pkey', '-in', ec, '-pubout', '-outform', 'DER').toString('latin1'),
    sequence().toString('latin1'),
    sequence(sequence(), sequence()).toString('latin1'),
  ]
  for (const text of innocent) t.doesNotThrow(() => refuseBinary(text), JSON.stringify(text.slice(0, 20)))
})

// --- x509 ---

t.test('a certificate as read', async (t) => {
  const root = await mintAuthority({ name: 'Root, with = and + in it' })
  const notBefore = new Date('2024-02-29T23:59:58Z')
  const notAfter = new Date('2061-01-01T00:00:00Z')
  const leaf = await mintLeaf({
    names: ['a.test', '192.0.2.1'],
    issuer: root,
    ...{ notBefore, notAfter, serial: '00ff10' },
  })
  const read = readCertificate(leaf.der, 'the certificate')
  const printed = (...what: string[]): string => openssl('x509', '-noout', '-in', fileOf(leaf.pem), ...what)
  t.equal(read.der, leaf.der)
  t.equal(read.subject, 'CN=a.test')
  t.match(read.issuer, /^CN=Root\\, with/)
  t.equal(read.commonName, 'a.test')
  t.same(read.names, ['a.test', '192.0.2.1'])
  t.same([read.notBefore, read.notAfter], [notBefore, notAfter])
  t.match(printed('-serial'), `serial=00${read.serial}\n`.replace('00', ''))
  for (const hash of ['sha1', 'sha256'] as const) {
    const fingerprint = printed('-fingerprint', `-${hash}`).split('=')[1]?.trim().replaceAll(':', '').toLowerCase()
    t.equal(read.fingerprint[hash], fingerprint, hash)
  }
  t.notOk(read.isAuthority)
  t.ok(readCertificate(root.der, '').isAuthority)
  t.ok(read.publicKey.equals(createPublicKey(leaf.key)))
  t.ok(read.hasKey(leaf.key))
  t.notOk(read.hasKey(root.key) || read.hasKey(rsaKey('x509')) || read.hasKey(generateKey('ed25519')))
  t.ok(read.issuedBy(readCertificate(root.der, '')))
  t.notOk(read.issuedBy(read))

  const nameless = readCertificate((await mintLeaf({ names: ['a.test'], commonName: false, issuer: root })).der, '')
  t.equal(nameless.subject, '')
  t.equal(nameless.commonName, undefined)
  t.match(readCertificate((await mintLeaf({ names: ['a.test'], commonName: false })).der, '').issuer, /^$/)
})

t.test('a subject of several parts in one line', async (t) => {
  const make = (subject: string): X509Certificate => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', fileOf('')]
    return new X509Certificate(openssl('req', '-x509', '-utf8', '-multivalue-rdn', ...key, '-subj', subject))
  }
  const read = (subject: string): string => readCertificate(make(subject).raw, '').subject
  t.equal(read("/C=US/O=Let's Encrypt/CN=E5"), "CN=E5, O=Let's Encrypt, C=US", 'the most specific part first')
  t.equal(read('/O=中国/CN=a, b'), 'CN=a\\, b, O=中国')
  t.equal(read('/CN=a/CN=b'), 'CN=b, CN=a')
  t.notMatch(read('/CN=a\nCN=b'), /\n/)
})

t.test('certificates that cannot be read', async (t) => {
  const leaf = await mintLeaf({ names: ['a.test'] })
  /** With the first place where `from` stands overwritten. */
  const patched = (from: string, to: string): Buffer => {
    const der = Buffer.from(leaf.der)
    const at = der.indexOf(hex(from))
    if (at < 0) throw new TypeError(`${from} is not in it`)
    hex(to).copy(der, at)
    return der
  }
  const year = Buffer.from(new X509Certificate(leaf.der).validFrom.slice(-6, -4)).toString('hex')
  const outer = leaf.der.readUInt16BE(2)
  const cases: Record<string, Buffer> = {
    nothing: Buffer.alloc(0),
    'no certificate': sequence(integer(1n)),
    'a key': leaf.key.export({ type: 'pkcs8', format: 'der' }),
    'cut off': leaf.der.subarray(0, -1),
    'a byte behind it': Buffer.concat([leaf.der, hex('00')]),
    'another certificate behind it': Buffer.concat([leaf.der, leaf.der]),
    'a byte before it': Buffer.concat([hex('00'), leaf.der]),
    BER: Buffer.concat([hex(`308300${outer.toString(16).padStart(4, '0')}`), leaf.der.subarray(4)]),
    'a key of a kind that nobody knows': patched('06072a8648ce3d0201', '06072a8648ce3d027f'),
    'a date that is none': patched(`170d${year}`, '170d7a7a'),
  }
  for (const [about, der] of Object.entries(cases)) {
    const error = refused(
      t,
      'CERTIFICATE_UNREADABLE',
      () => readCertificate(der, 'the certificate in line 3'),
      about,
      /openssl x509/,
    )
    t.match(error.message, /^the certificate in line 3 /)
  }
})

t.test('the first certificate of a text', async (t) => {
  const { pem, key, der } = await mintLeaf({ names: ['a.test'] })
  const other = await mintLeaf({ names: ['b.test'] })
  t.same(firstCertificate(`text\n${keyPem(key, 'pkcs8')}${pem}${other.pem}`)?.der, der)
  for (const text of ['', 'text', keyPem(key, 'pkcs8'), pem.slice(0, -30), pemOf('CERTIFICATE', hex('3000'))]) {
    t.equal(firstCertificate(text), undefined)
  }
})

// --- private keys ---

t.test('labels', async (t) => {
  const keys = ['PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY', 'ENCRYPTED PRIVATE KEY', 'OPENSSH PRIVATE KEY']
  for (const label of keys) t.ok(isKeyLabel(label), label)
  for (const label of ['PUBLIC KEY', 'EC PARAMETERS', 'CERTIFICATE', 'PRIVATE KEY BLOCK', ''])
    t.notOk(isKeyLabel(label))
})

t.test('one form, whatever a key came in', async (t) => {
  const kinds: Record<string, [KeyObject, string]> = {
    rsa2048: [rsaKey('forms'), 'RSA 2048'],
    rsa3072: [rsaKey('forms', 'rsa3072'), 'RSA 3072'],
    ec256: [generateKey('ec256'), 'EC P-256'],
    ec384: [generateKey('ec384'), 'EC P-384'],
    ec521: [generateKey('ec521'), 'EC P-521'],
    ed25519: [generateKey('ed25519'), 'Ed25519'],
  }
  for (const [kind, [key, described]] of Object.entries(kinds)) {
    const expected = keyPem(key, 'pkcs8')
    const file = fileOf(expected)
    const forms: Record<string, string> = { pkcs8: expected }
    if (kind.startsWith('rsa')) {
      forms['pkcs1'] = keyPem(key, 'pkcs1')
      forms['openssl, traditional'] = openssl('rsa', '-in', file, '-traditional')
    }
    if (kind.startsWith('ec')) {
      forms['sec1'] = keyPem(key, 'sec1')
      forms['with parameters before it'] = keyPem(key, 'sec1-with-params')
      forms['without its public part'] = openssl('ec', '-in', file, '-no_public')
      forms['with a compressed point'] = openssl('ec', '-in', file, '-conv_form', 'compressed')
      forms['with its curve written out'] = openssl('ec', '-in', file, '-param_enc', 'explicit')
      const bare = opensslBytes('ec', '-in', file, '-no_public', '-outform', 'DER')
      const pkcs8 = key.export({ type: 'pkcs8', format: 'der' })
      const [, algorithm] = readChildren(pkcs8, readElement(pkcs8, 0) as Element)
      const written = pkcs8.subarray((algorithm?.start ?? 0) - 2, algorithm?.end)
      forms['PKCS#8 without its public part'] = pemOf('PRIVATE KEY', sequence(integer(0n), written, element(4, bare)))
    }
    for (const [form, pem] of Object.entries(forms)) {
      const read = readKey(pem)
      t.equal(toPkcs8(read).reveal(), expected, `${kind}, ${form}`)
      t.equal(keyType(read), described)
      t.ok(createPublicKey(read).equals(createPublicKey(key)))
    }
    t.equal(
      openssl('pkey', '-in', fileOf(toPkcs8(readKey(expected)).reveal())),
      expected,
      `${kind}: as openssl writes it`,
    )
  }
})

t.test('the traditional encoding of a key', async (t) => {
  const forms = { rsa2048: 'pkcs1', ec256: 'sec1', ec384: 'sec1', ed25519: 'pkcs8' } as const
  for (const [kind, form] of Object.entries(forms)) {
    const key = generateKey(kind as KeyKind)
    const pem = toTraditional(new Secret(keyPem(key, 'pkcs8'))).reveal()
    t.equal(pem, keyPem(key, form), `${kind}: ${form}`)
    const asPkcs8 = openssl('pkey', '-in', fileOf(pem))
    t.equal(asPkcs8, openssl('pkey', '-in', fileOf(keyPem(key, 'pkcs8'))), 'the same key')
  }
})

t.test('encrypted keys and other doors’ keys', async (t) => {
  const keys = { rsa: rsaKey('encrypted'), ec: generateKey('ec256') }
  for (const [kind, key] of Object.entries(keys)) {
    for (const form of ['pkcs8-encrypted', 'legacy-encrypted'] as const) {
      refused(t, 'KEY_ENCRYPTED', () => readKey(keyPem(key, form)), `${kind} ${form}`, /openssl pkey -in FILE -out/)
    }
  }
  const lost = block('ENCRYPTED PRIVATE KEY', hex('00'))
  t.match(refused(t, 'KEY_ENCRYPTED', () => readPrivateKey(lost), 'whatever stands in it').message, /in line 7 /)
  refused(t, 'KEY_UNREADABLE', () => readPrivateKey(block('OPENSSH PRIVATE KEY', hex('00'))), 'SSH', /requested with/)
})

t.test('keys that cannot be read', async (t) => {
  const [ec, rsa] = [generateKey('ec256'), rsaKey('unreadable')]
  const [pkcs8, sec1] = (['pkcs8', 'sec1'] as const).map((type) => ec.export({ type, format: 'der' })) as [
    Buffer,
    Buffer,
  ]
  const pkcs1 = rsa.export({ type: 'pkcs1', format: 'der' })
  // No curve is named, neither in it nor around it.
  const curveless = sequence(integer(1n), element(4, Buffer.alloc(32, 1)))
  const cases: Array<[string, string, Buffer]> = [
    ['nothing', 'PRIVATE KEY', Buffer.alloc(0)],
    ['no DER', 'PRIVATE KEY', Buffer.from('not at all')],
    ['no key', 'PRIVATE KEY', sequence(integer(0n))],
    ['cut off', 'PRIVATE KEY', pkcs8.subarray(0, -1)],
    ['a byte behind it', 'PRIVATE KEY', Buffer.concat([pkcs8, hex('00')])],
    ['itself behind it', 'PRIVATE KEY', Buffer.concat([pkcs8, pkcs8])],
    ['a byte behind SEC1', 'EC PRIVATE KEY', Buffer.concat([sec1, hex('00')])],
    ['a byte behind PKCS#1', 'RSA PRIVATE KEY', Buffer.concat([pkcs1, hex('00')])],
    ['SEC1 under the label of PKCS#8', 'PRIVATE KEY', sec1],
    ['PKCS#1 under the label of SEC1', 'EC PRIVATE KEY', pkcs1],
    ['SEC1 under the label of PKCS#1', 'RSA PRIVATE KEY', sec1],
    ['no curve', 'EC PRIVATE KEY', curveless],
    ['a public key', 'PRIVATE KEY', createPublicKey(ec).export({ type: 'spki', format: 'der' })],
  ]
  for (const [about, label, der] of cases) {
    const error = refused(t, 'KEY_UNREADABLE', () => readPrivateKey(block(label, der)), about, /openssl pkey .*-check/)
    t.same(leaksOf(error, pemOf(label, der)), [])
  }
})

t.test('keys that nothing serves with', async (t) => {
  const parameters = fileOf(openssl('genpkey', '-genparam', '-algorithm', 'DSA', '-pkeyopt', 'dsa_paramgen_bits:1024'))
  const dsa = openssl('genpkey', '-paramfile', parameters)
  const onCurve = (curve: string): string => openssl('ecparam', '-genkey', '-noout', '-name', curve)
  const cases: Record<string, string> = {
    secp256k1: onCurve('secp256k1'),
    'secp256k1 in PKCS#8': openssl('pkcs8', '-topk8', '-nocrypt', '-in', fileOf(onCurve('secp256k1'))),
    secp224r1: onCurve('secp224r1'),
    brainpoolP256r1: onCurve('brainpoolP256r1'),
    sect233k1: onCurve('sect233k1'),
    'dsa in PKCS#8': dsa,
    'dsa as of old': openssl('pkey', '-traditional', '-in', fileOf(dsa)),
    ed448: openssl('genpkey', '-algorithm', 'ED448'),
    x25519: openssl('genpkey', '-algorithm', 'X25519'),
    x448: openssl('genpkey', '-algorithm', 'X448'),
    'rsa-pss': openssl('genpkey', '-algorithm', 'RSA-PSS', '-pkeyopt', 'rsa_keygen_bits:2048'),
    'some label or other': pemOf('ANY PRIVATE KEY', hex('3000')),
    sm2: openssl('genpkey', '-algorithm', 'SM2'),
  }
  for (const [about, pem] of Object.entries(cases)) {
    const error = refused(t, 'KEY_UNSUPPORTED', () => readKey(pem), about, /P-256.*Ed25519/)
    t.same(leaksOf(error, pem), [])
  }
})

type RsaNumbers = Record<'n' | 'e' | 'd' | 'p' | 'q' | 'dp' | 'dq' | 'qi', bigint>

const rsaNumbers = (key: KeyObject): RsaNumbers => {
  const jwk = key.export({ format: 'jwk' })
  const number = (value = ''): bigint => BigInt(`0x${Buffer.from(value, 'base64url').toString('hex')}`)
  const [n, e, d, p] = [number(jwk.n), number(jwk.e), number(jwk.d), number(jwk.p)]
  return { n, e, d, p, q: number(jwk.q), dp: number(jwk.dp), dq: number(jwk.dq), qi: number(jwk.qi) }
}

const pkcs1Of = ({ n, e, d, p, q, dp, dq, qi }: RsaNumbers): Buffer =>
  sequence(...[0n, n, e, d, p, q, dp, dq, qi].map(integer))

t.test('a damaged RSA key, to the last of its numbers', async (t) => {
  const key = rsaKey('damaged')
  const good = rsaNumbers(key)
  const other = rsaNumbers(rsaKey('another'))
  const read = (changes: Partial<RsaNumbers>, label = 'RSA PRIVATE KEY'): KeyObject =>
    readPrivateKey(block(label, pkcs1Of({ ...good, ...changes })))
  t.equal(toPkcs8(read({})).reveal(), keyPem(key, 'pkcs8'), 'put together again, it is the same')
  const turned = { p: good.q, q: good.p, dp: good.dq, dq: good.dp }
  const cases: Record<string, Partial<RsaNumbers>> = {
    'the right public half and a wrong private one': { ...other, n: good.n, e: good.e },
    'the same with the right d': { ...other, n: good.n, e: good.e, d: good.d },
    'the primes the other way round, their inverse not': turned,
    'primes of 1 and n': { p: 1n, q: good.n },
    'primes of n and 1': { p: good.n, q: 1n },
    'no primes': { p: 0n, q: 0n, dp: 0n, dq: 0n, qi: 0n },
    'no short cuts': { dp: 0n, dq: 0n, qi: 0n },
    'd and e exchanged': { d: good.e, e: good.d },
  }
  for (const name of Object.keys(good) as Array<keyof RsaNumbers>) {
    cases[`${name} with another bit`] = { [name]: good[name] ^ 4n }
    cases[`${name} of another key`] = { [name]: name === 'e' ? 3n : other[name] }
    cases[`${name} is one`] = { [name]: 1n }
  }
  for (const [about, changes] of Object.entries(cases)) {
    const error = refused(t, 'KEY_DAMAGED', () => read(changes), about, /restore|anew/)
    t.same(leaksOf(error, pemOf('RSA PRIVATE KEY', pkcs1Of({ ...good, ...changes }))), [])
  }
  const pkcs8 = sequence(
    integer(0n),
    sequence(hex('06092a864886f70d010101 0500')),
    element(4, pkcs1Of({ ...good, qi: good.qi + 1n })),
  )
  refused(t, 'KEY_DAMAGED', () => readPrivateKey(block('PRIVATE KEY', pkcs8)), 'in PKCS#8')
  const power = (base: bigint, exponent: bigint, modulus: bigint): bigint => {
    let [result, square] = [1n, base % modulus]
    for (let rest = exponent; rest > 0n; rest >>= 1n) {
      if (rest & 1n) result = (result * square) % modulus
      square = (square * square) % modulus
    }
    return result
  }
  const consistent = read({ ...turned, qi: power(good.p, good.q - 2n, good.q) })
  t.ok(createPublicKey(consistent).equals(createPublicKey(key)), 'the primes and all else turned round are fine')
})

t.test('an RSA key larger than OpenSSL itself makes signatures with is not tried', async (t) => {
  const odd = (bits: bigint): bigint => (1n << bits) - 1n
  const numbers = { n: odd(20_480n), e: 65_537n, d: odd(20_000n), p: odd(10_240n), q: odd(10_241n) }
  const der = pkcs1Of({ ...numbers, dp: odd(10_000n), dq: odd(10_001n), qi: odd(10_002n) })
  refused(t, 'KEY_UNSUPPORTED', () => readPrivateKey(block('RSA PRIVATE KEY', der)), '20480 bits')
})

t.test('an EC key whose halves are not of one key', async (t) => {
  for (const kind of ['ec256', 'ec384', 'ec521'] as const) {
    const [key, other] = [generateKey(kind), generateKey(kind)]
    const scalar = (one: KeyObject): Buffer => Buffer.from(one.export({ format: 'jwk' }).d ?? '', 'base64url')
    for (const [type, label] of [
      ['pkcs8', 'PRIVATE KEY'],
      ['sec1', 'EC PRIVATE KEY'],
    ] as const) {
      for (const wrong of [scalar(other), Buffer.alloc(scalar(key).length, 1)]) {
        const der = key.export({ type, format: 'der' })
        wrong.copy(der, der.indexOf(scalar(key)))
        t.ok(
          createPublicKey(createPrivateKey({ key: der, format: 'der', type })).equals(createPublicKey(key)),
          'to OpenSSL',
        )
        const error = refused(t, 'KEY_DAMAGED', () => readPrivateKey(block(label, der)), `${kind} ${type}`)
        t.same(leaksOf(error, pemOf(label, der)), [])
      }
    }
    const zero = key.export({ type: 'sec1', format: 'der' })
    zero.fill(0, zero.indexOf(scalar(key)), zero.indexOf(scalar(key)) + scalar(key).length)
    t.throws(() => readPrivateKey(block('EC PRIVATE KEY', zero)), { code: /^KEY_(DAMAGED|UNREADABLE)$/ }, 'zero')
  }
})

t.test('an Ed25519 key that brings a public half along is what its private half says', async (t) => {
  const [key, other] = [generateKey('ed25519'), generateKey('ed25519')]
  const seed = (one: KeyObject): Buffer => Buffer.from(one.export({ format: 'jwk' }).d ?? '', 'base64url')
  const point = (one: KeyObject): Buffer => Buffer.from(one.export({ format: 'jwk' }).x ?? '', 'base64url')
  // RFC 8410, section 7: version 2 with the public key as [1].
  const version2 = (half: KeyObject, otherHalf: KeyObject): Buffer => {
    const algorithm = sequence(hex('06032b6570'))
    return sequence(
      integer(1n),
      algorithm,
      element(4, element(4, seed(half))),
      element(0x81, hex('00'), point(otherHalf)),
    )
  }
  const read = (der: Buffer): string => {
    try {
      return toPkcs8(readPrivateKey(block('PRIVATE KEY', der))).reveal()
    } catch (error) {
      return error instanceof CertError ? error.code : String(error)
    }
  }
  // OpenSSL 3.0 does not read it at all.
  t.ok([keyPem(key, 'pkcs8'), 'KEY_UNREADABLE'].includes(read(version2(key, key))))
  t.ok([keyPem(other, 'pkcs8'), 'KEY_UNREADABLE', 'KEY_DAMAGED'].includes(read(version2(other, key))))
})

// --- signing requests ---

t.test('signing requests, as openssl sees them', async (t) => {
  const names = ['example.com', '*.example.com', 'xn--bcher-kva.example', '192.0.2.1', '2001:db8::1']
  const kinds: Record<string, [KeyKind, RegExp]> = {
    rsa2048: ['rsa2048', /sha256WithRSAEncryption/],
    ec256: ['ec256', /ecdsa-with-SHA256/],
    ec384: ['ec384', /ecdsa-with-SHA384/],
    ec521: ['ec521', /ecdsa-with-SHA512/],
  }
  for (const [about, [kind, signature]] of Object.entries(kinds)) {
    const key = kind === 'rsa2048' ? rsaKey('request') : generateKey(kind)
    const der = await signingRequest(key, names)
    t.ok(isWholeSequence(der))
    const request = fileOf(der)
    const read = (...what: string[]): string => openssl('req', '-inform', 'DER', '-in', request, '-noout', ...what)
    t.doesNotThrow(() => read('-verify'), `${about}: the signature is its own`)
    const text = read('-text')
    t.match(text, signature)
    t.match(text, /Subject: *\n/, 'the names stand in the extension alone')
    const listed = /Subject Alternative Name: *(?:critical)?\s+(.*)\n/.exec(text)?.[1]
    t.equal(
      listed,
      'DNS:example.com, DNS:*.example.com, DNS:xn--bcher-kva.example, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1',
    )
    const publicKey = openssl('req', '-inform', 'DER', '-in', request, '-noout', '-pubkey')
    t.equal(publicKey, createPublicKey(key).export({ type: 'spki', format: 'pem' }))
  }
  await t.rejects(signingRequest(generateKey('ed25519'), names), 'no CA of ours takes Ed25519')
})

// --- bundle ---

t.test('what a bundle is called and put together as', async (t) => {
  const bundle: CertificateBundle = {
    name: 'a.test',
    leaf: 'LEAF\n',
    chain: 'CHAIN\n',
    privateKey: new Secret('0123456789'),
    names: ['a.test'],
    issuer: 'CN=Root',
    keyType: 'EC P-256',
    notBefore: new Date('2026-05-30T23:59:59Z'),
    notAfter: new Date('2026-08-30T00:00:00Z'),
    serial: '01',
    fingerprint: { sha1: 'e5f6a7b8'.padEnd(40, '0'), sha256: '0'.repeat(64) },
  }
  t.equal(fullchain(bundle), 'LEAF\nCHAIN\n')
  t.equal(fullchain({ ...bundle, chain: '' }), 'LEAF\n')
  t.equal(archiveName(bundle), '2026-05-30_e5f6a7b8', 'in UTC, wherever it runs')
  t.equal(archiveName({ ...bundle, notBefore: new Date('2026-05-30T00:00:00Z') }), '2026-05-30_e5f6a7b8')
})
