/** What our issuer did and is to do again, as it lies in `certificates/<name>/certificate.json`. */
export interface CertificateRecord {
  readonly schema: 2
  readonly name: string
  /** As they were asked for, in canonical spelling. */
  readonly names: readonly string[]
  readonly issue: IssueSettings
  readonly deploy: readonly DeploySettings[]
  /** Is it issued because the configuration says so, and not any more when it does not? */
  readonly configured?: boolean | undefined
  /** It is not to be renewed any more. */
  readonly forgotten?: boolean | undefined
  /** The certificate that is in use: a folder of the same name beside this file. Undefined until the first is issued. */
  readonly current: IssuedVersion | undefined
}

/** How it is issued, without anything secret: enough to do it again, in a process that was told nothing else. */
export interface IssueSettings {
  /** In the order in which they are asked. */
  readonly ca: readonly KnownCa[]
  readonly email?: string | undefined
  readonly agreeTos: boolean
  readonly keyType: string
  readonly reuseKey: boolean
  readonly profile?: string | undefined
  /** The common name of the root that the chain is to lead to. */
  readonly preferredChain?: string | undefined
  /** How long a CA may take to decide, in seconds. */
  readonly caTimeout: number
  readonly solver: Readonly<Record<string, string | number | boolean | undefined>>
  /** A file: the authorities that the CA's own server is trusted by. */
  readonly caBundle?: string | undefined
  /** Account bindings, by the URL of the CA's directory. */
  readonly eab: Readonly<Record<string, { readonly kid: string; readonly hmacKeyFile: string }>>
  /** A second CA, of which a certificate is kept ready. */
  readonly standby?: KnownCa | undefined
}

export interface KnownCa {
  /** How people call it. */
  readonly name: string
  /** The URL of its directory. */
  readonly directory: string
}

export interface DeploySettings {
  readonly kind: string
  readonly settings: Readonly<Record<string, string | boolean>>
}

export interface IssuedVersion {
  /** The first 12 digits of the leaf's SHA-256, and the name of the folder. */
  readonly id: string
  readonly notBefore: string
  readonly notAfter: string
  /** The URL of the directory of the CA that issued it. */
  readonly directory: string
  readonly keyType: string
  readonly profile?: string | undefined
  /** What the CA is asked by for its advice, and told what a new one replaces (RFC 9773). */
  readonly renewalId?: string | undefined
  readonly advice?: RenewalAdvice | undefined
  readonly revokedAt?: string | undefined
}

/** When the CA would like it to be renewed, and when it is asked again. */
export interface RenewalAdvice {
  /** Absent where it gave no advice that could be made sense of. */
  readonly window?: { readonly start: string; readonly end: string } | undefined
  /** The moment in the window that was drawn: it stays as long as the window does. */
  readonly at?: string | undefined
  readonly explanation?: string | undefined
  readonly nextLook: string
}

/**
 * The record in a text, or undefined where it is none. Ours are written in one piece; what somebody else's hand was in is
 * not gone by, since it says where keys are read and what is run.
 */
export const parseCertificateRecord = (text: string): CertificateRecord | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? withSoundAdvice(value) : undefined
  } catch {
    return undefined
  }
}

type Fields = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''

const isFlag = (value: unknown): boolean => typeof value === 'boolean'

const isDate = (value: unknown): boolean => isText(value) && !Number.isNaN(Date.parse(value))

const isScalar = (value: unknown): boolean => ['string', 'number', 'boolean'].includes(typeof value)

const isListOf = (value: unknown, is: (one: unknown) => boolean): boolean => Array.isArray(value) && value.every(is)

const mayBe = (value: unknown, is: (one: unknown) => boolean): boolean => value === undefined || is(value)

/** A place that a CA may be asked at. */
const isAddress = (value: unknown): boolean => isText(value) && /^https?:\/\//.test(value) && URL.canParse(value)

/** The folder of an issued certificate: nothing else is read or removed as one. */
export const isVersionId = (id: string): boolean => /^[0-9a-f]{12}$/.test(id)

const isRecord = (value: unknown): value is CertificateRecord =>
  isObject(value) &&
  value['schema'] === 2 &&
  isText(value['name']) &&
  isListOf(value['names'], isText) &&
  isIssue(value['issue']) &&
  isListOf(value['deploy'], isDeploy) &&
  mayBe(value['configured'], isFlag) &&
  mayBe(value['forgotten'], isFlag) &&
  mayBe(value['current'], isVersion)

const isIssue = (value: unknown): boolean =>
  isObject(value) &&
  isListOf(value['ca'], isCa) &&
  (value['ca'] as readonly unknown[]).length > 0 &&
  [value['agreeTos'], value['reuseKey']].every(isFlag) &&
  isText(value['keyType']) &&
  typeof value['caTimeout'] === 'number' &&
  [value['email'], value['profile'], value['preferredChain'], value['caBundle']].every((one) => mayBe(one, isText)) &&
  isObject(value['solver']) &&
  Object.values(value['solver']).every(isScalar) &&
  isObject(value['eab']) &&
  Object.values(value['eab']).every((one) => isObject(one) && isText(one['kid']) && isText(one['hmacKeyFile'])) &&
  mayBe(value['standby'], isCa)

const isCa = (value: unknown): boolean => isObject(value) && isText(value['name']) && isAddress(value['directory'])

const isDeploy = (value: unknown): boolean =>
  isObject(value) &&
  isText(value['kind']) &&
  isObject(value['settings']) &&
  Object.values(value['settings']).every((one) => typeof one === 'string' || typeof one === 'boolean')

const isVersion = (value: unknown): boolean =>
  isObject(value) &&
  isText(value['id']) &&
  isVersionId(value['id']) &&
  [value['notBefore'], value['notAfter']].every(isDate) &&
  isAddress(value['directory']) &&
  isText(value['keyType']) &&
  [value['profile'], value['renewalId']].every((one) => mayBe(one, isText)) &&
  mayBe(value['revokedAt'], isDate)

const isAdvice = (value: unknown): boolean =>
  isObject(value) &&
  isDate(value['nextLook']) &&
  mayBe(value['at'], isDate) &&
  mayBe(value['explanation'], (one) => typeof one === 'string') &&
  mayBe(value['window'], (one) => isObject(one) && isDate(one['start']) && isDate(one['end']))

/** What a CA advised can be asked for again. */
const withSoundAdvice = (record: CertificateRecord): CertificateRecord =>
  record.current === undefined || mayBe(record.current.advice, isAdvice)
    ? record
    : { ...record, current: { ...record.current, advice: undefined } }
