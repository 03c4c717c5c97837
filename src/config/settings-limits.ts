import { limitOrOff, MAX_INT, setting, wholeNumber } from './setting.ts'

/** The limits of uploads, downloads and requests. */
export const limitSettings = {
  MAX_UPLOAD_BYTES: setting({
    description: 'Maximum size of a file, in bytes.',
    default: '5497558138880 (5 TiB)',
    expected: `a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`,
    schema: wholeNumber(1, Number.MAX_SAFE_INTEGER).default(5 * 1024 ** 4),
  }),
  MAX_FORM_BYTES: setting({
    description:
      'Maximum size of all files of a form in POST /files, in bytes; use createUpload for larger files.',
    default: '500000000 (500 MB)',
    expected: `a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`,
    schema: wholeNumber(1, Number.MAX_SAFE_INTEGER).default(500_000_000),
  }),
  UPLOAD_TTL_HOURS: setting({
    description: 'Hours after which an unfinished upload expires if it receives no bytes.',
    default: '24',
    expected: 'a whole number from 1 to 8760',
    schema: wholeNumber(1, 8760).default(24),
  }),
  MAX_OPEN_UPLOADS: setting({
    description:
      'Maximum number of uploads of one user that are neither confirmed nor canceled; expired uploads do not count.',
    default: '10000',
    expected: `a whole number from 1 to ${MAX_INT}`,
    schema: wholeNumber(1, MAX_INT).default(10_000),
  }),
  MAX_RESERVED_BYTES: setting({
    description:
      'Maximum total size of these uploads, announced or received, in bytes; applies in addition to the quotas of workspaces.',
    default: '54975581388800 (50 TiB), or MAX_UPLOAD_BYTES if that is larger',
    expected: `a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`,
    schema: wholeNumber(1, Number.MAX_SAFE_INTEGER).nullable().default(null),
  }),
  RATE_LIMIT: setting({
    description: 'Query cost points per minute for each token or address, or off.',
    default: 'off',
    expected: `off or a whole number from 1 to ${MAX_INT}`,
    schema: limitOrOff(MAX_INT).default(null),
  }),
  LINK_BYTES_PER_DAY: setting({
    description:
      'Maximum number of bytes sent in 24 hours without a token, or off: through the links to one version or archive that one token has created; through one share; of one file of a public workspace. Requests beyond it fail with 429.',
    default: 'off',
    expected: `off or a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`,
    schema: limitOrOff(Number.MAX_SAFE_INTEGER).default(null),
  }),
  MAX_DOWNLOADS_PER_LINK: setting({
    description:
      'Maximum number of concurrent downloads without a token through such a link, per process, or off. Requests beyond it fail with 429.',
    default: '200',
    expected: `off or a whole number from 1 to ${MAX_INT}`,
    schema: limitOrOff(MAX_INT).default(200),
  }),
  MAX_HEADER_BYTES: setting({
    description:
      'Maximum size of the headers of a request in bytes, URL included. Larger ones fail with 431. A final upload of 190 parts sends 20,000.',
    default: '65536',
    expected: 'a whole number from 16384 to 1048576',
    schema: wholeNumber(16_384, 1_048_576).default(65_536),
  }),
  MAX_REQUESTS_PER_ADDRESS: setting({
    description:
      'Maximum number of concurrent requests of one address (the first 64 bits of an IPv6 address), per process, or off. Requests beyond it fail with 429. Behind a proxy, set TRUST_PROXY; otherwise all clients count as one.',
    default: '2000',
    expected: `off or a whole number from 1 to ${MAX_INT}`,
    schema: limitOrOff(MAX_INT).default(2000),
  }),
  MAX_QUERY_COST: setting({
    description:
      'Maximum cost of one GraphQL request; each field of each item costs about one point.',
    default: '20000',
    expected: `a whole number from 100 to ${MAX_INT}`,
    schema: wholeNumber(100, MAX_INT).default(20_000),
  }),
  MAX_RESPONSE_NODES: setting({
    description:
      'Maximum number of objects in the response to one GraphQL request. They are counted during execution; a request that exceeds the limit fails as a whole with QUERY_TOO_COMPLEX.',
    default: '50000',
    expected: `a whole number from 1000 to ${MAX_INT}`,
    schema: wholeNumber(1000, MAX_INT).default(50_000),
  }),
  MAX_RESPONSE_BYTES: setting({
    description: 'Maximum size of this response in bytes, counted in the same way.',
    default: '20000000 (20 MB)',
    expected: `a whole number from 10000 to ${MAX_INT}`,
    schema: wholeNumber(10_000, MAX_INT).default(20_000_000),
  }),
  REQUEST_TIMEOUT_MS: setting({
    description:
      'Milliseconds that the reads of one GraphQL request may take before it fails with TIMEOUT. A mutation field that has started is finished, and the following ones are not started. Subscriptions have no limit.',
    default: '30000',
    expected: `a whole number from 100 to ${MAX_INT}`,
    schema: wholeNumber(100, MAX_INT).default(30_000),
  }),
}
