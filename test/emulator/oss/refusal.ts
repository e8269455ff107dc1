import type { Xml } from '../xml.js'
import { element, xmlDocument } from '../xml.js'

/** An answer of OSS that is an error. Thrown anywhere below `oss/service.ts`, which turns it into XML. */
export class OssRefusal extends Error {
  readonly status: number
  readonly code: string
  readonly ec: string | undefined
  readonly details: readonly (Xml | undefined)[]

  constructor(status: number, code: string, message: string, ec?: string, details: readonly (Xml | undefined)[] = []) {
    super(message)
    this.status = status
    this.code = code
    this.ec = ec
    this.details = details
  }
}

export const accessDenied = (message: string, ec?: string, details?: readonly Xml[]): OssRefusal =>
  new OssRefusal(403, 'AccessDenied', message, ec, details)

export const invalidArgument = (message: string, name: string, value: string, ec?: string): OssRefusal =>
  new OssRefusal(400, 'InvalidArgument', message, ec, [element('ArgumentName', name), element('ArgumentValue', value)])

export const noSuchKey = (key: string): OssRefusal =>
  new OssRefusal(404, 'NoSuchKey', 'The specified key does not exist.', '0026-00000001', [element('Key', key)])

export const malformedXml = (): OssRefusal =>
  new OssRefusal(
    400,
    'MalformedXML',
    'The XML you provided was not well-formed or did not validate against our published schema.',
    '0031-00000001',
  )

/** The vendor's wording, for faults that give only a code. */
const wordings: Readonly<Record<string, string>> = {
  AccessDenied: 'You have no right to access this object because of bucket acl.',
  InternalError: 'Please contact the server administrator, oss@service.aliyun.com.',
  MetaOperationQpsLimitExceeded: 'Qps limit for the meta operation is exceeded.',
  RequestTimeTooSkewed: 'The difference between the request time and the current time is too large.',
  SecurityTokenExpired: 'The security token you provided has expired.',
  ServiceUnavailable: 'The service is temporarily unavailable. Please try again later.',
  UploadTrafficRateLimitExceeded: 'Please reduce your upload request traffic.',
}

export const wording = (code: string): string => wordings[code] ?? `${code}.`

export const errorDocument = (refusal: OssRefusal, requestId: string, hostId: string): Buffer =>
  xmlDocument(
    element('Error', [
      element('Code', refusal.code),
      element('Message', refusal.message),
      element('RequestId', requestId),
      element('HostId', hostId),
      ...refusal.details,
      ...(refusal.ec === undefined
        ? []
        : [element('EC', refusal.ec), element('RecommendDoc', `https://api.aliyun.com/troubleshoot?q=${refusal.ec}`)]),
    ]),
  )
